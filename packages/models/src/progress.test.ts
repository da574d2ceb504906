import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "@hydrogen/std";
import { createProgressMeter, type PullProgress } from "./progress.ts";

function meterAt() {
  let nowMs = 1_000_000;
  const seen: PullProgress[] = [];
  const meter = createProgressMeter({ nowMs: () => nowMs, sleep: systemClock.sleep }, (progress) =>
    seen.push(progress),
  );
  return { meter, seen, pass: (ms: number) => (nowMs += ms) };
}

test("tells speed and time to go from what is fetched now, not from what was there", () => {
  const { meter, seen, pass } = meterAt();
  meter.expect(100_000_000);
  meter.enter("downloading");
  meter.add(50_000_000, true);
  for (let second = 0; second < 5; second++) {
    pass(1_000);
    meter.add(1_000_000, false);
  }
  const { doneBytes, bytesPerSec, etaSec } = seen.at(-1)!;
  assert.equal(doneBytes, 55_000_000);
  assert.ok(bytesPerSec >= 1_000_000 && bytesPerSec <= 1_250_000, String(bytesPerSec));
  assert.equal(etaSec, Math.ceil(45_000_000 / bytesPerSec));
});

test("forgets a speed that is over, and says nothing about the time while nothing arrives", () => {
  const { meter, seen, pass } = meterAt();
  meter.expect(10_000);
  meter.enter("downloading");
  assert.equal(seen.at(-1)!.etaSec, undefined);
  meter.add(1_000, false);
  pass(60_000);
  meter.add(0, false);
  assert.equal(seen.at(-1)!.bytesPerSec, 0);
  assert.equal(seen.at(-1)!.etaSec, undefined);
});

test("tells of bytes at most ten times a second, of phases always, and of a new beginning", () => {
  const { meter, seen, pass } = meterAt();
  meter.expect(10_000);
  for (let at = 0; at < 1_000; at++) {
    pass(1);
    meter.add(1, false);
  }
  assert.ok(seen.length >= 9 && seen.length <= 11, String(seen.length));
  meter.enter("verifying");
  meter.enter("verifying");
  assert.equal(seen.filter(({ phase }) => phase === "verifying").length, 1);
  meter.reset();
  meter.enter("planning");
  assert.equal(seen.at(-1)!.doneBytes, 0);
});
