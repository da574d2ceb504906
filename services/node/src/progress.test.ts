import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "@hydrogen/std";
import { throttleProgress } from "./progress.ts";

/** A clock whose sleepers wake only when time is moved. */
function manualClock(): Clock & { advance(ms: number): Promise<void> } {
  let now = 0;
  let sleepers: { untilMs: number; wake: () => void }[] = [];
  return {
    nowMs: () => now,
    sleep: (ms) => new Promise((wake) => sleepers.push({ untilMs: now + ms, wake })),
    advance: async (ms) => {
      now += ms;
      const due = sleepers.filter(({ untilMs }) => untilMs <= now);
      sleepers = sleepers.filter(({ untilMs }) => untilMs > now);
      for (const { wake } of due) wake();
      await turn();
    },
  };
}

test("posts at most every interval, always the latest, and the last one too", async () => {
  const clock = manualClock();
  const posted: number[] = [];
  const progress = throttleProgress<number>(async (step) => posted.push(step), { clock, everyMs: 250 });
  for (const step of [1, 2, 3]) progress.report(step);
  await turn();
  assert.deepEqual(posted, [1]);
  await clock.advance(249);
  assert.deepEqual(posted, [1]);
  await clock.advance(1);
  assert.deepEqual(posted, [1, 3]);
  progress.report(4);
  progress.report(5);
  await clock.advance(250);
  assert.deepEqual(posted, [1, 3, 5]);
});

test("goes on after a post that failed, and ends when stopped", async () => {
  const clock = manualClock();
  const posted: number[] = [];
  const progress = throttleProgress<number>(
    async (step) => {
      posted.push(step);
      if (step === 1) throw new Error("the relay is away");
    },
    { clock, everyMs: 250 },
  );
  progress.report(1);
  await turn();
  progress.report(2);
  await clock.advance(250);
  progress.stop();
  progress.report(3);
  await clock.advance(250);
  assert.deepEqual(posted, [1, 2]);
});
