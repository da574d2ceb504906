import assert from "node:assert/strict";
import { test } from "node:test";
import { createChainClock } from "./chain-clock.ts";

test("follows the node's own clock until a block is ahead of it, then keeps that lead", () => {
  let nowMs = 1_000_000;
  const clock = createChainClock({ nowMs: () => nowMs, sleep: async () => undefined });
  clock.observe(990);
  assert.equal(clock.nowSec(), 1000, "an old block proves nothing");
  clock.observe(1060);
  assert.equal(clock.nowSec(), 1060);
  nowMs += 5_000;
  clock.observe(1060);
  assert.equal(clock.nowSec(), 1065);
  assert.equal(clock.toMs(1070), nowMs + 5_000);
});
