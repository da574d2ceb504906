import assert from "node:assert/strict";
import { test } from "node:test";
import { createRateLimiter } from "./rate-limit.ts";

function limiter(burst: number, perSec: number) {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, sleep: () => Promise.reject(new Error("nobody sleeps here")) };
  const { take } = createRateLimiter({ burst, perSec }, { clock });
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { take, pass };
}

test("allows a burst, then as many as flow in, and says how long to wait", () => {
  const { take, pass } = limiter(3, 2);
  assert.deepEqual([take("a"), take("a"), take("a"), take("a")], [0, 0, 0, 0.5]);
  pass(400);
  assert.ok(take("a") > 0.09 && take("a") < 0.11, "a refusal must not cost tokens");
  pass(100);
  assert.deepEqual([take("a"), take("a")], [0, 0.5]);
  pass(1_000_000);
  assert.deepEqual([take("a"), take("a"), take("a"), take("a")], [0, 0, 0, 0.5]);
});

test("counts every key for itself", () => {
  const { take } = limiter(1, 1);
  assert.deepEqual([take("a"), take("b"), take("a")], [0, 0, 1]);
});

test("does not forget a spent bucket when idle ones can go", () => {
  const { take, pass } = limiter(2, 1);
  for (let i = 0; i < 9_999; i++) take(`idle ${i}`);
  pass(1_000);
  take("busy");
  take("busy");
  take("one more");
  assert.ok(take("busy") > 0);
});
