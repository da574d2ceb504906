import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { chainError } from "@hydrogen/chain";
import type { Receipt } from "@hydrogen/protocol";
import { sdkError, type TaskClient } from "@hydrogen/sdk";
import { agreedFiles } from "@hydrogen/sdk/testing";
import type { Clock } from "@hydrogen/std";
import { createBlobStore, openDatabase } from "@hydrogen/storage";
import { Metrics, silentLogger } from "@hydrogen/telemetry";
import { createLiveTasks } from "./live-tasks.ts";
import { sweep } from "./retention.ts";
import { createTaskRunner, imageName } from "./task-runner.ts";
import { bridgeMigrations, createTaskStore, type StoredTask } from "./task-store.ts";

const feeWei = 30n;
const timeoutSec = 900;
const receipt: Receipt = {
  taskId: 7n,
  taskHash: "0x",
  taskType: 0,
  chainId: 1,
  addresses: { token: "0x", node: "0x", task: "0x" },
  creator: "0x",
  feeWei,
  refundedWei: 0n,
  status: "Done",
  abortReason: null,
  nodes: [],
  result: null,
  resultNode: null,
  filesDigest: null,
  transactions: [],
  gasTotal: 0n,
  stagesMs: {},
};

type Run = TaskClient["run"];

/** A runner over a real store; the task client is the test's. */
function setup(t: TestContext, run: Run, more: Partial<TaskClient> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-runner-"));
  t.after(() => rmSync(dir, { recursive: true }));
  let nowMs = 1_000_000;
  const sleeping: { untilMs: number; wake: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((wake, reject) => {
        sleeping.push({ untilMs: nowMs + ms, wake });
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  };
  const store = createTaskStore(openDatabase(":memory:", bridgeMigrations), clock.nowMs);
  const blobs = createBlobStore(dir);
  const client: TaskClient = {
    feeWei: async () => feeWei,
    isSubmitted: () => false,
    spentWei: async () => feeWei,
    run,
    ...more,
  };
  const stop = new AbortController();
  const newRunner = () =>
    createTaskRunner(
      { maxConcurrentTasks: 1, taskTimeoutSec: timeoutSec },
      {
        client,
        store,
        blobs,
        live: createLiveTasks(),
        clock,
        log: silentLogger,
        metrics: new Metrics(),
        signal: stop.signal,
      },
    );
  return {
    store,
    blobs,
    clock,
    newRunner,
    runner: newRunner(),
    stop,
    accept: (id: string): StoredTask =>
      store.accept(
        {
          id,
          apiKey: "k",
          idempotencyKey: undefined,
          taskType: 0,
          argsText: "{}",
          taskHash: "0xaa",
          vramLimit: 4,
          numImages: 1,
          feeWei,
        },
        1_000n,
      ).task,
    passTime: (sec: number) => {
      nowMs += sec * 1000;
      for (const sleeper of sleeping) if (sleeper.untilMs <= nowMs) sleeper.wake();
    },
  };
}

/** Never ends by itself. */
const untilAborted: Run = (_, hooks) =>
  new Promise((_, reject) => {
    const signal = hooks!.signal!;
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

test("a task whose time runs out before it is paid for fails and costs nothing", async (t) => {
  const { runner, store, accept, passTime } = setup(t, untilAborted);
  runner.enqueue(accept("a"));
  runner.enqueue(accept("b"));
  passTime(timeoutSec);
  await runner.idle();
  for (const id of ["a", "b"]) {
    assert.equal(store.get(id)!.status, "failed");
    assert.equal(store.get(id)!.error?.code, "TASK_TIMEOUT");
  }
  assert.equal(store.spentWei("k"), 0n);
});

test("a task that is paid for in the moment its time runs out goes on without a limit", async (t) => {
  let paid = false;
  let runs = 0;
  const run: Run = async (request, hooks) => {
    if (++runs === 1) {
      await untilAborted(request, hooks).catch(() => undefined);
      paid = true;
      hooks!.signal!.throwIfAborted();
    }
    assert.equal(hooks!.signal!.aborted, false);
    return { taskId: 7n, files: [...agreedFiles], receipt };
  };
  const { runner, store, accept, passTime } = setup(t, run, { isSubmitted: () => paid });
  runner.enqueue(accept("a"));
  passTime(timeoutSec);
  await runner.idle();
  assert.deepEqual([runs, store.get("a")!.status, store.spentWei("k")], [2, "done", feeWei]);
});

test("time in which the bridge was down is not counted, and a task on chain has no limit here", async (t) => {
  let ended: (() => void) | undefined;
  const run: Run = (request, hooks) => {
    if (request.key === "task:a") return untilAborted(request, hooks);
    return new Promise((resolve, reject) => {
      hooks!.signal!.addEventListener("abort", () => reject(hooks!.signal!.reason), { once: true });
      ended = () => resolve({ taskId: 7n, files: [...agreedFiles], receipt });
    });
  };
  const { newRunner, store, accept, passTime } = setup(t, run, { isSubmitted: (key) => key === "task:b" });
  accept("a");
  passTime(10 * timeoutSec);
  const runner = newRunner();
  assert.equal(runner.resume(), 1);
  passTime(timeoutSec - 1);
  await Promise.resolve();
  assert.equal(store.get("a")!.status, "accepted");
  passTime(1);
  await runner.idle();
  assert.equal(store.get("a")!.error?.code, "TASK_TIMEOUT");

  runner.enqueue(accept("b"));
  passTime(10 * timeoutSec);
  ended!();
  await runner.idle();
  assert.equal(store.get("b")!.status, "done");
});

test("only a task that was never sent to the chain can be cancelled, also after a restart", async (t) => {
  const { runner, store, accept } = setup(t, untilAborted, { isSubmitted: (key) => key === "task:sent" });
  runner.enqueue(accept("running"));
  runner.enqueue(accept("sent"));
  runner.enqueue(accept("waiting"));
  accept("begun");
  runner.enqueue(store.update("begun", { status: "drawing", taskId: 3n }));
  for (const id of ["running", "sent", "begun"])
    assert.throws(() => runner.cancel(store.get(id)!), { code: "TASK_NOT_CANCELLABLE" }, id);
  assert.equal(runner.cancel(store.get("waiting")!).status, "cancelled");
  assert.equal(store.spentWei("k"), 3n * feeWei);
});

test("the books hold what a task cost: less what came back, nothing if it was not created", async (t) => {
  const failures: Record<string, () => Error> = {
    reverted: () => chainError("TRANSACTION_REVERTED", { hash: "0x01" }),
    refused: () => sdkError("FUNDS_TOO_LOW"),
    unclear: () => chainError("CHAIN_RPC_ERROR"),
    aborted: () => sdkError("TASK_ABORTED_ON_CHAIN"),
  };
  const run: Run = async ({ key }, hooks) => {
    const failure = failures[key.slice(5)];
    if (failure === undefined)
      return { taskId: 7n, files: [...agreedFiles], receipt: { ...receipt, refundedWei: 10n } };
    if (key === "task:aborted") hooks!.onStage!("drawing", 8n);
    throw failure();
  };
  const { runner, store, accept } = setup(t, run, {
    isSubmitted: (key) => key !== "task:refused",
    spentWei: async (taskId) => (taskId === 8n ? 3n : feeWei),
  });
  for (const id of ["done", ...Object.keys(failures)]) runner.enqueue(accept(id));
  await runner.idle();
  const costs = ["done", ...Object.keys(failures)].map((id) => [id, store.get(id)!.feeWei]);
  assert.deepEqual(costs, [
    ["done", 20n],
    ["reverted", 0n],
    ["refused", 0n],
    ["unclear", feeWei],
    ["aborted", 3n],
  ]);
  assert.equal(store.spentWei("k"), 53n);
});

test("a bridge that closes leaves its tasks as they are", async (t) => {
  const { runner, store, accept, stop } = setup(t, untilAborted);
  runner.enqueue(accept("a"));
  stop.abort();
  await runner.idle();
  assert.deepEqual(
    store.unfinished().map(({ id }) => id),
    ["a"],
  );
});

test("images and args of old tasks are deleted; the books, the receipt and unfinished tasks stay", async (t) => {
  const run: Run = async () => ({ taskId: 7n, files: [...agreedFiles], receipt });
  const { runner, store, blobs, accept, passTime, clock } = setup(t, run);
  const deps = { store, blobs, clock, log: silentLogger };
  runner.enqueue(accept("old"));
  await runner.idle();
  accept("unfinished");
  passTime(20 * 86_400);
  runner.enqueue(accept("new"));
  await runner.idle();
  assert.equal(await sweep(30, deps), 0);
  passTime(11 * 86_400);
  assert.equal(await sweep(30, deps), 1);
  assert.equal(await sweep(30, deps), 0);
  assert.equal(await blobs.read(imageName("old", 0)), undefined);
  assert.equal((await blobs.read(imageName("new", 0)))?.sizeBytes, agreedFiles[0]!.length);
  assert.deepEqual(
    ["old", "unfinished", "new"].map((id) => store.get(id)!.argsText),
    ["", "{}", "{}"],
  );
  assert.ok(store.get("old")!.receipt);
  assert.equal(store.spentWei("k"), 3n * feeWei);
});
