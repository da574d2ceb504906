/** The numbers that stand for things on chain. A test compares them with the contracts' enums. */
import type { FailureClass, Hex } from "@hydrogen/std";

/** 20 bytes; of any case where it comes in, checksummed (EIP-55) where it goes out. */
export type Address = Hex;

export const TaskType = { SD: 0, GPT: 1 } as const;
export type TaskType = (typeof TaskType)[keyof typeof TaskType];

export const TaskStatus = {
  None: 0,
  Pending: 1,
  Executing: 2,
  Revealing: 3,
  Uploading: 4,
  Done: 5,
  Aborted: 6,
} as const;
export type TaskStatus = (typeof TaskStatus)[keyof typeof TaskStatus];

export const NodeStatus = {
  Quit: 0,
  Available: 1,
  Busy: 2,
  PendingPause: 3,
  PendingQuit: 4,
  Paused: 5,
} as const;
export type NodeStatus = (typeof NodeStatus)[keyof typeof NodeStatus];

/** What is known of one round: nothing, a commitment, a revealed result, a revealed error, or a missed deadline. */
export const Verdict = { None: 0, Committed: 1, Result: 2, Error: 3, Missed: 4 } as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Failures that are the task's own fault and may be reported on chain; a node stays silent about all others. */
export const ErrorClass = { args_invalid: 1, unsupported: 2, model_invalid: 3 } as const;
export type ErrorClass = (typeof ErrorClass)[keyof typeof ErrorClass];

/** The number to report on chain, or undefined for a failure that is the node's own trouble. */
export function errorClassOf(failure: FailureClass | undefined): ErrorClass | undefined {
  return ErrorClass[failure as keyof typeof ErrorClass];
}

/** Nodes that run every task. */
export const roundsPerTask = 3;

/** The name of a number in one of the objects above: `nameOf(TaskStatus, 5)` is "Done". */
export function nameOf<Names extends Readonly<Record<string, number>>>(
  names: Names,
  value: number,
): (keyof Names & string) | undefined {
  return Object.keys(names).find((name) => names[name] === value);
}
