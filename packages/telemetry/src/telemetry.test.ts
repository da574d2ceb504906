import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, silentLogger } from "./logger.ts";
import { Metrics } from "./metrics.ts";
import { createShutdown } from "./shutdown.ts";

test("writes one JSON line a record, with bigints and causes unfolded, and drops what is below the level", () => {
  const lines: string[] = [];
  const log = createLogger(
    { format: "json", write: (line) => void lines.push(line), nowMs: () => 0 },
    { part: "node" },
  );
  log.debug("hidden");
  log.child({ taskId: 7n }).error("failed", { error: new Error("outer", { cause: new Error("inner") }) });
  assert.equal(lines.length, 1);
  const record = JSON.parse(lines[0]!);
  assert.equal(record.time, "1970-01-01T00:00:00.000Z");
  assert.equal(record.taskId, "7");
  assert.equal(record.part, "node");
  assert.equal(record.error.cause.message, "inner");
});

test("renders counters, gauges and cumulative histogram buckets for Prometheus", () => {
  const metrics = new Metrics();
  const requests = metrics.counter("requests_total", "Requests served.");
  requests.inc({ route: 'a"b' });
  requests.inc({ route: 'a"b' }, 2);
  metrics.gauge("lag_blocks", "Blocks behind.").set(3);
  const seconds = metrics.histogram("wait_seconds", "Waits.", [0.1, 1]);
  seconds.observe(0.5);
  seconds.observe(5);
  const page = metrics.render();
  assert.match(page, /requests_total\{route="a\\"b"\} 3\n/);
  assert.match(page, /lag_blocks 3\n/);
  assert.match(
    page,
    /wait_seconds_bucket\{le="0.1"\} 0\n.*le="1"\} 1\n.*le="\+Inf"\} 2\nwait_seconds_sum 5.5\nwait_seconds_count 2\n/s,
  );
});

test("closes in reverse order, once, even if one part fails", async () => {
  const shutdown = createShutdown(silentLogger);
  const closed: string[] = [];
  shutdown.onClose("database", () => void closed.push("database"));
  shutdown.onClose("broken", () => {
    throw new Error("no");
  });
  shutdown.onClose("server", async () => void closed.push("server"));
  await Promise.all([shutdown.close("test"), shutdown.close("again")]);
  assert.deepEqual(closed, ["server", "database"]);
  assert.ok(shutdown.signal.aborted);
});
