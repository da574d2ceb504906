/** A task as the chain tells it, in the units the node computes with: seconds as numbers, money as bigint. */
import type { TaskStatus, Verdict } from "@hydrogen/protocol";
import type { Hex } from "@hydrogen/std";

export type ChainTask = {
  readonly id: bigint;
  readonly taskType: number;
  readonly taskHash: Hex;
  readonly status: TaskStatus;
  /** How long it may wait to be drawn. */
  readonly queueSec: number;
  readonly nodes: readonly Hex[];
  readonly verdicts: readonly Verdict[];
  /** 0: not set yet; so with every other time here. */
  readonly commitDeadlineSec: number;
  readonly revealFromSec: number;
  readonly revealDeadlineSec: number;
  readonly uploadDeadlineSec: number;
  /** When the agreeing nodes' time to upload for the result node ends too. */
  readonly uploadEndSec: number;
  /** 3: none. */
  readonly resultRound: number;
  /** Per round: whether it revealed a result that is similar to another's. */
  readonly agreed: readonly boolean[];
};
