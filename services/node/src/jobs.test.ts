import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { silentLogger } from "@hydrogen/telemetry";
import { createJobs } from "./jobs.ts";

function setUp() {
  let now = 0;
  let ends = 0;
  const clock = { nowMs: () => now, sleep: async () => undefined };
  const jobs = createJobs({
    clock,
    log: silentLogger,
    onEnd: () => ends++,
    isInterruptible: (kind) => kind === "execute",
  });
  return { jobs, advance: (ms: number) => (now += ms), ends: () => ends };
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("runs one job a key and leaves it alone while the decision stands", async () => {
  const { jobs } = setUp();
  let started = 0;
  const work = (signal: AbortSignal) => {
    started++;
    return untilAborted(signal);
  };
  jobs.want("7/0", "execute", jobs.moment(), work);
  await turn();
  jobs.want("7/0", "execute", jobs.moment(), work);
  await turn();
  assert.equal(started, 1);
  assert.equal(jobs.kindOf("7/0"), "execute");
  await jobs.close(0);
  assert.equal(jobs.kindOf("7/0"), undefined);
});

test("aborts a job whose decision changed, and says so when it has ended", async () => {
  const { jobs, ends } = setUp();
  jobs.want("7/0", "execute", jobs.moment(), untilAborted);
  await turn();
  jobs.want("7/0", "cancelOverdue", jobs.moment(), async () => assert.fail("too early"));
  await turn();
  assert.equal(ends(), 1);
  assert.equal(jobs.kindOf("7/0"), undefined);
});

test("does not act on a decision from before the last job ended", async () => {
  const { jobs } = setUp();
  const since = jobs.moment();
  let runs = 0;
  const work = async () => void runs++;
  jobs.want("7/0", "execute", since, work);
  await turn();
  jobs.want("7/0", "execute", since, work);
  await turn();
  assert.equal(runs, 1);
  jobs.want("7/0", "execute", jobs.moment(), work);
  await turn();
  assert.equal(runs, 2);
});

test("rests after failures, longer each time, and starts over after a success", async () => {
  const { jobs, advance } = setUp();
  let fail = true;
  let runs = 0;
  const attempt = async () => {
    jobs.want("7/0", "upload", jobs.moment(), async () => {
      runs++;
      if (fail) throw new Error("the relay is away");
    });
    await turn();
  };
  await attempt();
  await attempt();
  assert.equal(runs, 1, "rests");
  assert.equal(jobs.nextRetryMs(), 250);
  advance(250);
  await attempt();
  assert.equal(runs, 2);
  assert.equal(jobs.nextRetryMs(), 750);
  advance(499);
  await attempt();
  assert.equal(runs, 2);
  fail = false;
  advance(1);
  await attempt();
  assert.equal(runs, 3);
  assert.equal(jobs.nextRetryMs(), undefined);
});

test("another decision need not rest for the failures of the last", async () => {
  const { jobs } = setUp();
  jobs.want("7/0", "commit", jobs.moment(), async () => {
    throw new Error("refused");
  });
  await turn();
  let revealed = false;
  jobs.want("7/0", "reveal", jobs.moment(), async () => {
    revealed = true;
  });
  await turn();
  assert.ok(revealed);
});

test("lets a transaction end by itself for a while when its decision changed", async () => {
  const { jobs, advance } = setUp();
  jobs.want("7/0", "commit", jobs.moment(), untilAborted);
  await turn();
  jobs.unwant("7/0");
  await turn();
  assert.equal(jobs.kindOf("7/0"), "commit");
  assert.equal(jobs.nextRetryMs(), 10_000);
  advance(10_000);
  jobs.want("7/0", "reveal", jobs.moment(), untilAborted);
  await turn();
  assert.equal(jobs.kindOf("7/0"), undefined);
});

test("takes nothing more once closed", async () => {
  const { jobs } = setUp();
  await jobs.close(0);
  jobs.want("7/0", "commit", jobs.moment(), async () => assert.fail("closed"));
  await turn();
});

test("keeps nothing of a job that nobody wants any more and that fails at last", async () => {
  const { jobs } = setUp();
  const refused = Promise.withResolvers<void>();
  jobs.want("7/0", "commit", jobs.moment(), () => refused.promise);
  await turn();
  jobs.unwant("7/0");
  refused.reject(new Error("refused"));
  await turn();
  assert.equal(jobs.nextRetryMs(), undefined);
  let runs = 0;
  jobs.want("7/0", "commit", jobs.moment(), async () => void runs++);
  await turn();
  assert.equal(runs, 1, "does not rest");
});
