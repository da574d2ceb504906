import assert from "node:assert/strict";
import { test } from "node:test";
import { Mutex, retry, waitFor } from "./async.ts";
import { defineErrors } from "./errors.ts";
import type { Clock } from "./time.ts";

const testError = defineErrors({
  BUSY: { message: "Busy", retryable: true },
  BROKEN: { message: "Broken", retryable: false },
});

/** A clock whose sleeps take no time and are recorded. */
function fakeClock(): Clock & { sleptMs: number[] } {
  const sleptMs: number[] = [];
  return {
    sleptMs,
    nowMs: () => sleptMs.reduce((sum, ms) => sum + ms, 0),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleptMs.push(ms);
    },
  };
}

test("retries a retryable error with doubling pauses until it succeeds", async () => {
  const clock = fakeClock();
  const result = await retry(
    async (attempt) => {
      if (attempt < 4) throw testError("BUSY");
      return attempt;
    },
    { clock, delayMs: 100, maxDelayMs: 250 },
  );
  assert.equal(result, 4);
  assert.deepEqual(clock.sleptMs, [100, 200, 250]);
});

test("does not retry what cannot get better, nor after the last attempt", async () => {
  const clock = fakeClock();
  await assert.rejects(
    retry(() => Promise.reject(testError("BROKEN")), { clock }),
    { code: "BROKEN" },
  );
  assert.equal(clock.sleptMs.length, 0);
  await assert.rejects(
    retry(() => Promise.reject(testError("BUSY")), { clock, attempts: 3 }),
    { code: "BUSY" },
  );
  assert.equal(clock.sleptMs.length, 2);
});

test("stops retrying when the signal aborts", async () => {
  const clock = fakeClock();
  const controller = new AbortController();
  const attempts = retry(
    async () => {
      controller.abort();
      throw testError("BUSY");
    },
    { clock, signal: controller.signal },
  );
  await assert.rejects(attempts, { code: "BUSY" });
  assert.equal(clock.sleptMs.length, 0);
});

test("runs critical sections one at a time and goes on after a failure", async () => {
  const mutex = new Mutex();
  const order: string[] = [];
  const first = mutex.run(async () => {
    order.push("first in");
    await Promise.resolve();
    order.push("first out");
    throw new Error("first failed");
  });
  const second = mutex.run(async () => void order.push("second"));
  await assert.rejects(first, /first failed/);
  await second;
  assert.deepEqual(order, ["first in", "first out", "second"]);
});

test("waits until the probe finds something, and no longer than the signal allows", async () => {
  const clock = fakeClock();
  let calls = 0;
  assert.equal(await waitFor(() => (++calls === 3 ? "found" : undefined), { clock }), "found");
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(
    waitFor(() => false, { clock, signal }),
    /enough/,
  );
});
