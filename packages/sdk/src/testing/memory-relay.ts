/** For tests: a relay that keeps what it is given, and serves what the test puts there. */
import { defineErrors } from "@hydrogen/std";
import type { RoundProgress } from "../bridge-client.ts";
import type { TaskRelay } from "../task-client.ts";

export type MemoryRelay = TaskRelay & {
  readonly args: Map<bigint, string>;
  readonly files: Map<bigint, readonly Uint8Array[]>;
  progress: RoundProgress[];
  /** How often it was asked for a file. */
  readonly asked: () => number;
  /** Thrown by every upload of args, as long as it is set. */
  refuses: Error | undefined;
};

/** As the relay words them. */
export const relayProblem = defineErrors({
  RELAY_TASK_NOT_RUNNING: { message: "The task is not being executed", retryable: false },
  RELAY_RESULT_NOT_UPLOADED: { message: "The result has not been uploaded yet", retryable: true },
});

export function createMemoryRelay(): MemoryRelay {
  let asked = 0;
  const relay: MemoryRelay = {
    args: new Map(),
    files: new Map(),
    progress: [],
    refuses: undefined,
    asked: () => asked,
    uploadArgs: async (taskId, text) => {
      if (relay.refuses !== undefined) throw relay.refuses;
      relay.args.set(taskId, text);
    },
    getProgress: async () => relay.progress,
    getResult: async (taskId, index) => {
      asked++;
      const file = relay.files.get(taskId)?.[index];
      if (file === undefined) throw relayProblem("RELAY_RESULT_NOT_UPLOADED", { taskId });
      return file;
    },
  };
  return relay;
}
