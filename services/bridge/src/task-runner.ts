/**
 * Takes every accepted task to its end. What is unfinished when the bridge starts is taken up again: the task client
 * repeats each step under the same key, so nothing is paid or created twice.
 */

import { formatReceipt } from "@hydrogen/protocol";
import { isFinal, sdkError, type TaskClient, type TaskOutcome, type TaskStage } from "@hydrogen/sdk";
import { type Clock, errorSummary, isHydrogenError, retry, type SerializedError } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { Logger, Metrics } from "@hydrogen/telemetry";
import { bridgeError } from "./errors.ts";
import type { LiveTasks } from "./live-tasks.ts";
import type { StoredTask, TaskStore } from "./task-store.ts";

export type TaskRunner = {
  /** Queues a task; returns at once. */
  enqueue(task: StoredTask): void;
  /** Cancels a task that is waiting its turn and was never sent to the chain. @throws TASK_NOT_CANCELLABLE */
  cancel(task: StoredTask): StoredTask;
  /** Queues what an earlier process left unfinished. Returns how many. */
  resume(): number;
  /** Resolves when no task is running any more. */
  idle(): Promise<void>;
};

export type TaskRunnerDeps = {
  client: TaskClient;
  store: TaskStore;
  blobs: BlobStore;
  live: LiveTasks;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  /** Aborts when the bridge closes; tasks then stay as they are and are resumed at the next start. */
  signal: AbortSignal;
  /** For tests: called at each step of a task; may wait, and may kill the process. */
  faults?: Faults | undefined;
};

/** The stages of the task client, and `kept` (the images are), `ended` (the row says so). */
export type Faults = (point: TaskStage | "kept" | "ended") => void;

export function createTaskRunner(
  options: { maxConcurrentTasks: number; taskTimeoutSec: number },
  deps: TaskRunnerDeps,
): TaskRunner {
  const { client, store, blobs, live, clock, log, signal, faults = () => undefined } = deps;
  const startedMs = clock.nowMs();
  const waiting: string[] = [];
  const running = new Map<string, Promise<void>>();
  const ended = deps.metrics.counter("hydrogen_bridge_tasks_total", "Tasks that ended, by their status.");
  const inProgress = deps.metrics.gauge("hydrogen_bridge_tasks_in_progress", "Tasks on their way.");

  function startNext(): void {
    while (!signal.aborted && running.size < options.maxConcurrentTasks && waiting.length > 0) {
      const id = waiting.shift()!;
      const run = execute(id)
        .catch((error: unknown) => {
          if (!signal.aborted) log.error("task left for the next start", { id, error });
        })
        .finally(() => {
          running.delete(id);
          inProgress.set(running.size);
          startNext();
        });
      running.set(id, run);
      inProgress.set(running.size);
    }
  }

  async function execute(id: string): Promise<void> {
    const outcome = await bringToEnd(store.get(id)!);
    if (outcome === undefined) return;
    const { taskId, files, receipt } = outcome;
    // It is paid for: a full disk delays it, and an error leaves it for the next start.
    const onRetry = (error: unknown) => log.warn("cannot keep the images for the moment", { id, error });
    await retry(() => keep(id, files), { clock, signal, attempts: Infinity, onRetry });
    faults("kept");
    const feeWei = receipt.feeWei - receipt.refundedWei;
    finish(id, { status: "done", taskId, receipt: formatReceipt(receipt), feeWei });
    log.info("task done", { id, taskId });
  }

  /** The verified files; undefined if the task has failed and is written off, or the bridge closes. */
  async function bringToEnd(task: StoredTask): Promise<TaskOutcome | undefined> {
    const { id, taskType, argsText, vramLimit } = task;
    const key = keyOf(id);
    const expiry = startExpiry(task);
    try {
      return await client.run(
        { key, taskType, argsText, vramLimit },
        {
          signal: AbortSignal.any([signal, expiry.signal]),
          onStage: (status, taskId) => {
            store.update(id, { status, ...(taskId === undefined ? {} : { taskId }) });
            live.changed(id);
            faults(status);
          },
          onRounds: (rounds) => live.setRounds(id, rounds),
        },
      );
    } catch (error) {
      if (signal.aborted) return undefined; // resumed at the next start
      // Its time ran out at the moment it was paid for: from there the chain's deadlines count.
      if (expiry.signal.aborted && client.isSubmitted(key)) return bringToEnd(task);
      const reason = expiry.signal.aborted ? expiry.signal.reason : error;
      const feeWei = await costWei(task, reason);
      if (signal.aborted) return undefined;
      log.warn("task failed", { id, error: reason });
      finish(id, { status: "failed", error: serialize(reason), feeWei });
      return undefined;
    } finally {
      expiry.end();
    }
  }

  /** Aborts when a task's time is over before it is sent to the chain. The time that the bridge was down is not counted. */
  function startExpiry(task: StoredTask): { signal: AbortSignal; end(): void } {
    const { taskTimeoutSec } = options;
    const expired = new AbortController();
    const over = new AbortController();
    const leftMs = Math.max(task.createdMs, startedMs) + taskTimeoutSec * 1000 - clock.nowMs();
    const expire = () => {
      if (!client.isSubmitted(keyOf(task.id)))
        expired.abort(sdkError("TASK_TIMEOUT", { timeoutSec: taskTimeoutSec }));
    };
    if (leftMs <= 0) expire();
    else clock.sleep(leftMs, AbortSignal.any([signal, over.signal])).then(expire, () => undefined);
    return { signal: expired.signal, end: () => over.abort() };
  }

  async function keep(id: string, files: readonly Uint8Array[]): Promise<void> {
    for (const [index, file] of files.entries())
      await blobs.put(imageName(id, index), once(file), { maxBytes: file.length });
  }

  /** What a failed task has cost: nothing unless it came on chain, and then the fee less what came back. */
  async function costWei({ id, feeWei }: StoredTask, reason: unknown): Promise<bigint> {
    const { taskId } = store.get(id)!;
    if (taskId !== undefined) return client.spentWei(taskId, signal).catch(() => feeWei);
    const isPaid = client.isSubmitted(keyOf(id)) && !isHydrogenError(reason, "TRANSACTION_REVERTED");
    return isPaid ? feeWei : 0n;
  }

  function finish(id: string, change: Parameters<TaskStore["update"]>[1]): void {
    store.update(id, change);
    ended.inc({ status: change.status! });
    live.changed(id);
    live.forget(id);
    faults("ended");
  }

  const enqueue = (task: StoredTask) => {
    waiting.push(task.id);
    startNext();
  };

  return {
    enqueue,
    cancel: (task) => {
      const place = waiting.indexOf(task.id);
      if (place < 0 || task.status !== "accepted" || client.isSubmitted(keyOf(task.id)))
        throw bridgeError("TASK_NOT_CANCELLABLE", { id: task.id, status: task.status });
      waiting.splice(place, 1);
      finish(task.id, { status: "cancelled", feeWei: 0n, error: bridgeError("TASK_CANCELLED").toJSON() });
      return store.get(task.id)!;
    },
    resume: () => {
      const unfinished = store.unfinished().filter((task) => !isFinal(task.status));
      for (const task of unfinished) enqueue(task);
      return unfinished.length;
    },
    idle: async () => {
      while (running.size > 0) await Promise.allSettled(running.values());
    },
  };
}

function keyOf(id: string): string {
  return `task:${id}`;
}

export function imageName(id: string, index: number): string {
  return `results/${id}/${index}.png`;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function serialize(error: unknown): SerializedError {
  return isHydrogenError(error)
    ? error.toJSON()
    : bridgeError("INTERNAL", { reason: errorSummary(error) }, error).toJSON();
}
