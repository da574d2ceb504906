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

test("stops waiting when the signal aborts", async () => {
  const live = createLiveTasks();
  await live.nextChange("a", AbortSignal.abort());
  const controller = new AbortController();
  const waiting = live.nextChange("a", controller.signal);
  controller.abort();
  await waiting;
});
