/** A task as the chain tells it, in the units the node computes with: seconds as numbers, money as bigint. */
import type { Hex } from "@hydrogen/std";

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

export const Verdict = { None: 0, Committed: 1, Result: 2, Error: 3, Missed: 4 } as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

export type ChainTask = {
  readonly id: bigint;
  readonly taskType: number;
  readonly taskHash: Hex;
  readonly status: TaskStatus;
  readonly nodes: readonly Hex[];
  readonly verdicts: readonly Verdict[];
  /** 0: not set yet; so with every other time here. */
  readonly commitDeadlineSec: number;
  readonly revealFromSec: number;
  readonly revealDeadlineSec: number;
  readonly uploadDeadlineSec: number;
  /** When the agreeing nodes' time to upload for the result node ends too. */
  readonly uploadEndSec: number;
  readonly resultRound: number;
  /** Per round: whether its result is similar to that of the result round. */
  readonly agreed: readonly boolean[];
};
