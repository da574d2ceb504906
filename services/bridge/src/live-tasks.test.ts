import assert from "node:assert/strict";
import { test } from "node:test";
import { createLiveTasks } from "./live-tasks.ts";

test("wakes every watcher of a task once, and nobody else", async () => {
  const live = createLiveTasks();
  const { signal } = new AbortController();
  const woken: string[] = [];
  const watching = ["a", "a", "b"].map((id, i) =>
    live.nextChange(id, signal).then(() => woken.push(`${id}${i}`)),
  );
  live.setRounds("a", [{ round: 0, node: "0x1", stage: "executing", step: 1, steps: 2 }]);
  await Promise.all(watching.slice(0, 2));
  assert.deepEqual(woken, ["a0", "a1"]);
  live.changed("b");
  await watching[2];
  assert.equal(live.rounds("a").length, 1);
  live.forget("a");
  assert.deepEqual(live.rounds("a"), []);
});

test("sleeps through progress that says nothing new", async () => {
  const live = createLiveTasks();
  const { signal } = new AbortController();
  const step = (n: number) => [{ round: 0, node: "0x1", stage: "executing", step: n, steps: 2 }];
  live.setRounds("a", step(1));
  let woken = 0;
  const change = live.nextChange("a", signal).then(() => woken++);
  live.setRounds("a", step(1));
  await Promise.resolve();
  assert.equal(woken, 0);
  live.setRounds("a", step(2));
  await change;
  assert.equal(woken, 1);
});

test("stops waiting when the signal aborts", async () => {
  const live = createLiveTasks();
  await live.nextChange("a", AbortSignal.abort());
  const controller = new AbortController();
  const waiting = live.nextChange("a", controller.signal);
  controller.abort();
  await waiting;
});
