import assert from "node:assert/strict";
import { test } from "node:test";
import { createTtlCache } from "./ttl-cache.ts";

test("asks once per key and time, shares what is under way, and keeps no failure", async () => {
  let nowMs = 0;
  const cached = createTtlCache(100, { clock: { nowMs: () => nowMs, sleep: () => Promise.resolve() } });
  let asked = 0;
  const ask = () => cached("a", async () => ++asked);
  assert.deepEqual(await Promise.all([ask(), ask()]), [1, 1]);
  nowMs = 99;
  assert.equal(await ask(), 1);
  nowMs = 100;
  assert.equal(await ask(), 2);
  assert.equal(await cached("b", async () => "other"), "other");
  await assert.rejects(cached("c", () => Promise.reject(new Error("away"))));
  assert.equal(await cached("c", async () => "back"), "back");
});
