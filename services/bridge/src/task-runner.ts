/**
 * Takes every accepted task to its end. What is unfinished when the bridge starts is taken up again: the task client
 * repeats each step under the same key, so nothing is paid or created twice.
 */

import { formatReceipt } from "@hydrogen/protocol";
import { isFinal, sdkError, type TaskClient } from "@hydrogen/sdk";
import { type Clock, errorSummary, isHydrogenError, type SerializedError } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { Logger, Metrics } from "@hydrogen/telemetry";
import { bridgeError } from "./errors.ts";
import type { LiveTasks } from "./live-tasks.ts";
import type { StoredTask, TaskStore } from "./task-store.ts";

export type TaskRunner = {
  /** Queues a task; returns at once. */
  enqueue(task: StoredTask): void;
  /** Cancels a task that is still waiting its turn. @throws TASK_NOT_CANCELLABLE */
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
};

export function createTaskRunner(
  options: { maxConcurrentTasks: number; taskTimeoutSec: number },
  deps: TaskRunnerDeps,
): TaskRunner {
  const { client, store, blobs, live, log, signal } = deps;
  const waiting: string[] = [];
  const running = new Map<string, Promise<void>>();
  const ended = deps.metrics.counter("hydrogen_bridge_tasks_total", "Tasks that ended, by their status.");
  const inProgress = deps.metrics.gauge("hydrogen_bridge_tasks_in_progress", "Tasks on their way.");

  function startNext(): void {
    while (!signal.aborted && running.size < options.maxConcurrentTasks && waiting.length > 0) {
      const id = waiting.shift()!;
      const run = execute(id).finally(() => {
        running.delete(id);
        inProgress.set(running.size);
        startNext();
      });
      running.set(id, run);
      inProgress.set(running.size);
    }
  }

  async function execute(id: string): Promise<void> {
    const task = store.get(id)!;
    const leftMs = Math.max(1, task.createdMs + options.taskTimeoutSec * 1000 - deps.clock.nowMs());
    const deadline = AbortSignal.timeout(leftMs);
    try {
      const { taskId, files, receipt } = await client.run(
        { key: `task:${id}`, taskType: task.taskType, argsText: task.argsText, vramLimit: task.vramLimit },
        {
          signal: AbortSignal.any([signal, deadline]),
          onStage: (status, taskId) => {
            store.update(id, { status, ...(taskId === undefined ? {} : { taskId }) });
            live.changed(id);
          },
          onRounds: (rounds) => live.setRounds(id, rounds),
        },
      );
      for (const [index, file] of files.entries())
        await blobs.put(imageName(id, index), once(file), { maxBytes: file.length });
      finish(id, { status: "done", taskId, receipt: formatReceipt(receipt) });
      log.info("task done", { id, taskId });
    } catch (error) {
      if (signal.aborted) return; // resumed at the next start
      const reason = deadline.aborted
        ? sdkError("TASK_TIMEOUT", { timeoutSec: options.taskTimeoutSec })
        : error;
      log.warn("task failed", { id, error: reason });
      const refundedWei = isHydrogenError(error, "TASK_ABORTED_ON_CHAIN")
        ? BigInt(String(error.facts.refundedWei ?? 0))
        : 0n;
      const paid = store.get(id)!.taskId !== undefined;
      finish(id, {
        status: "failed",
        error: serialize(reason),
        feeWei: paid ? task.feeWei - refundedWei : 0n,
      });
    }
  }

  function finish(id: string, change: Parameters<TaskStore["update"]>[1]): void {
    store.update(id, change);
    ended.inc({ status: change.status! });
    live.changed(id);
    live.forget(id);
  }

  const enqueue = (task: StoredTask) => {
    waiting.push(task.id);
    startNext();
  };

  return {
    enqueue,
    cancel: (task) => {
      const place = waiting.indexOf(task.id);
      if (place < 0) throw bridgeError("TASK_NOT_CANCELLABLE", { id: task.id, status: task.status });
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
