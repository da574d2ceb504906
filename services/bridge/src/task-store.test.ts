import assert from "node:assert/strict";
import { test } from "node:test";
import { openDatabase } from "@hydrogen/storage";
import { bridgeMigrations, createTaskStore, type NewTask } from "./task-store.ts";

const oneTaskWei = 30n;

function newTask(id: string, more: Partial<NewTask> = {}): NewTask {
  return {
    id,
    apiKey: "studio",
    idempotencyKey: undefined,
    taskType: 0,
    argsText: "{}",
    taskHash: "0xaa",
    vramLimit: 4,
    numImages: 1,
    feeWei: oneTaskWei,
    ...more,
  };
}

function openStore() {
  let nowMs = 1_000;
  const db = openDatabase(":memory:", bridgeMigrations);
  return { store: createTaskStore(db, () => nowMs), tick: (ms: number) => (nowMs += ms) };
}

test("a budget is never overdrawn, and what a failed task got back can be spent again", () => {
  const { store } = openStore();
  store.accept(newTask("a"), 2n * oneTaskWei);
  store.accept(newTask("b"), 2n * oneTaskWei);
  assert.throws(() => store.accept(newTask("c"), 2n * oneTaskWei), { code: "BUDGET_EXHAUSTED" });
  store.update("a", { status: "failed", feeWei: 3n });
  assert.throws(() => store.accept(newTask("c"), 2n * oneTaskWei), { code: "BUDGET_EXHAUSTED" });
  store.accept(newTask("c"), 2n * oneTaskWei + 3n);
  assert.equal(store.spentWei("studio"), 2n * oneTaskWei + 3n);
  assert.equal(store.spentWei("other"), 0n);
});

test("the same idempotency key gives the same task, and refuses another body; each API key has its own", () => {
  const { store } = openStore();
  const first = store.accept(newTask("a", { idempotencyKey: "k" }), oneTaskWei);
  const again = store.accept(newTask("b", { idempotencyKey: "k" }), oneTaskWei);
  assert.equal(first.isNew, true);
  assert.equal(again.isNew, false);
  assert.equal(again.task.id, "a");
  assert.throws(() => store.accept(newTask("c", { idempotencyKey: "k", taskHash: "0xbb" }), oneTaskWei), {
    code: "IDEMPOTENCY_CONFLICT",
  });
  assert.equal(store.accept(newTask("d", { idempotencyKey: "k", apiKey: "other" }), oneTaskWei).isNew, true);
});

test("keeps the time spent in every status, and lists what is unfinished by age", () => {
  const { store, tick } = openStore();
  store.accept(newTask("a"), 10n * oneTaskWei);
  tick(5);
  store.accept(newTask("b"), 10n * oneTaskWei);
  store.update("a", { status: "creating" });
  tick(20);
  store.update("a", { status: "creating", taskId: 7n });
  tick(30);
  store.update("a", { status: "executing" });
  assert.deepEqual(store.get("a")!.stagesMs, { accepted: 5, creating: 50 });
  assert.equal(store.get("a")!.taskId, 7n);
  assert.deepEqual(
    store.unfinished().map(({ id }) => id),
    ["a", "b"],
  );
  store.update("a", { status: "done", receipt: "{}" });
  assert.deepEqual(
    store.unfinished().map(({ id }) => id),
    ["b"],
  );
});

test("takes over the spending of a database from before there was a running total", () => {
  const db = openDatabase(":memory:", bridgeMigrations);
  const store = createTaskStore(db, () => 1);
  store.accept(newTask("a"), 10n * oneTaskWei);
  store.accept(newTask("b"), 10n * oneTaskWei);
  db.run("DELETE FROM spending");
  assert.equal(store.spentWei("studio"), 2n * oneTaskWei);
  store.update("a", { status: "failed", feeWei: 0n });
  assert.equal(store.spentWei("studio"), oneTaskWei);
  store.accept(newTask("c"), 10n * oneTaskWei);
  assert.equal(store.spentWei("studio"), 2n * oneTaskWei);
});
