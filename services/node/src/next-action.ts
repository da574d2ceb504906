/**
 * What a node does next for one task: a pure function of what it remembers (the journal), what the chain says, and
 * the time. The chain is the authority: whatever the journal believes to have sent, only the task's verdicts count, so
 * a crash, a lost transaction or a reorganisation needs no case of its own. Events merely wake the loop that asks here.
 */
import { type ErrorClass, TaskStatus, Verdict } from "@hydrogen/protocol";
import type { FailureClass, Hex } from "@hydrogen/std";
import type { ChainTask } from "./chain-task.ts";

/** What came of running the task. Only the first two go on chain. */
export type Outcome =
  | { readonly kind: "result"; readonly result: Hex; readonly filesDigest: Hex; readonly fileCount: number }
  | { readonly kind: "error"; readonly errorClass: ErrorClass; readonly code: string }
  | {
      readonly kind: "failed";
      readonly failureClass: FailureClass;
      readonly code: string;
      /** When to try again; undefined: it is not worth trying. */
      readonly retryAtSec: number | undefined;
    };

/** What the node remembers of one round of one task. */
export type RoundMemory = {
  readonly round: number;
  readonly hasArgs: boolean;
  readonly outcome: Outcome | undefined;
  /** Whether the relay has acknowledged the files. */
  readonly uploaded: boolean;
};

export type Situation = {
  /** Undefined: the node was not selected, it only sees the task pending. */
  readonly memory: RoundMemory | undefined;
  readonly task: ChainTask;
  readonly self: Hex;
  readonly nowSec: number;
  /** Whether the chain still holds this node on this task. */
  readonly held: boolean;
  /** Whether the node could be drawn now. */
  readonly available: boolean;
  /** When the node first saw the task pending in a block. */
  readonly pendingSinceSec: number;
  /** A number in [0, 1), different for every node and task: spreads what anyone may do. */
  readonly jitter: number;
};

export type Action =
  | { readonly kind: "fetchArgs" | "execute" | "commit" | "reveal" | "upload" | "reportUploaded" }
  | { readonly kind: "cancelOverdue" | "draw" }
  /** Nothing to do before `untilSec` or, if that is undefined, before the chain changes. */
  | { readonly kind: "wait"; readonly untilSec: number | undefined; readonly reason: string }
  | { readonly kind: "done"; readonly reason: string };

/** The application draws its own task; nodes step in when it does not. */
const drawPatienceSec = 2;
/** As a task's `resultRound`. */
const noRound = 3;
/** Several nodes may do the same chore; whoever is first saves the others the gas. */
const choreSpreadSec = 3;

export function nextAction(situation: Situation): Action {
  const { task, memory, self } = situation;
  if (task.status === TaskStatus.None) return done("the task is not on the chain");
  if (task.status === TaskStatus.Pending)
    return memory === undefined ? draw(situation) : wait("not drawn yet");
  if (memory === undefined) return done("drawn without this node");
  if (task.nodes[memory.round]?.toLowerCase() !== self.toLowerCase())
    return done("another node has the round");
  switch (task.status) {
    case TaskStatus.Executing:
      return execution(situation, memory);
    case TaskStatus.Revealing:
      return revealing(situation, memory);
    case TaskStatus.Uploading:
      return uploading(situation, memory);
    default:
      return ended(situation, memory);
  }
}

function draw(situation: Situation): Action {
  const { task, available, nowSec, pendingSinceSec, jitter } = situation;
  const queueEndSec = pendingSinceSec + task.queueSec;
  if (nowSec >= queueEndSec) return overdue(situation, queueEndSec);
  if (!available) return wait("to be available", queueEndSec);
  const fromSec = pendingSinceSec + drawPatienceSec + jitter * choreSpreadSec;
  return nowSec >= fromSec ? { kind: "draw" } : wait("the creator to draw the task", fromSec);
}

function execution(situation: Situation, memory: RoundMemory): Action {
  const { task, nowSec } = situation;
  const verdict = task.verdicts[memory.round];
  if (verdict === Verdict.Committed) {
    // Set by the second commitment.
    if (task.revealFromSec === 0) return watch(situation, "the other commitments", task.commitDeadlineSec);
    return nowSec < task.revealFromSec
      ? wait("the end of the grace period", task.revealFromSec)
      : reveal(situation, memory);
  }
  const closesSec = task.revealDeadlineSec || task.commitDeadlineSec;
  if (verdict !== Verdict.None)
    return watch(situation, "the others, having missed the commitment", closesSec);
  const commitBySec = Math.min(task.commitDeadlineSec, closesSec);
  if (nowSec >= commitBySec) return overdue(situation, closesSec);
  if (!memory.hasArgs) return { kind: "fetchArgs" };
  const { outcome } = memory;
  if (outcome === undefined) return { kind: "execute" };
  if (outcome.kind !== "failed") return { kind: "commit" };
  if (outcome.retryAtSec === undefined || outcome.retryAtSec >= commitBySec)
    return wait("silent: the failure is this node's own", commitBySec);
  return nowSec >= outcome.retryAtSec
    ? { kind: "execute" }
    : wait("another try at running the task", outcome.retryAtSec);
}

function revealing(situation: Situation, memory: RoundMemory): Action {
  const { task } = situation;
  switch (task.verdicts[memory.round]) {
    case Verdict.Committed:
      return reveal(situation, memory);
    case Verdict.Result:
    case Verdict.Error:
      return watch(situation, "the other reveals", task.revealDeadlineSec);
    default:
      return watch(situation, "the others, having missed the commitment", task.revealDeadlineSec);
  }
}

function uploading(situation: Situation, memory: RoundMemory): Action {
  const { task, nowSec } = situation;
  const verdict = task.verdicts[memory.round];
  if (verdict === Verdict.Committed) return reveal(situation, memory);
  if (verdict !== Verdict.Result)
    return watch(situation, "the upload, without a share in the result", task.uploadEndSec);
  const { outcome } = memory;
  const mine = memory.round === task.resultRound;
  if (!mine && !task.agreed[memory.round])
    return watch(situation, "the upload, having disagreed", task.uploadEndSec);
  if (nowSec >= task.uploadEndSec) return overdue(situation, task.uploadEndSec);
  // Lost with the disk: nothing to upload, others may.
  if (outcome?.kind !== "result") return wait("the files are lost", task.uploadEndSec);
  const fromSec = mine ? 0 : afterOthers(situation, task.uploadDeadlineSec);
  if (nowSec < fromSec) return wait("the result node's upload", fromSec);
  return { kind: memory.uploaded ? "reportUploaded" : "upload" };
}

function ended(situation: Situation, memory: RoundMemory): Action {
  const { task, held } = situation;
  // The task may be over for the application while a third node still owes its reveal, and its share is in escrow.
  if (task.resultRound !== noRound && task.verdicts.includes(Verdict.Committed)) {
    if (held && task.verdicts[memory.round] === Verdict.Committed) return reveal(situation, memory);
    return watch(situation, "the third reveal", task.revealDeadlineSec);
  }
  if (task.verdicts[memory.round] === Verdict.Missed) return done("missed a deadline");
  return done(task.status === TaskStatus.Done ? "done" : "aborted");
}

function reveal(situation: Situation, memory: RoundMemory): Action {
  const { task, nowSec } = situation;
  const closesSec = task.revealDeadlineSec || Number.POSITIVE_INFINITY;
  if (nowSec >= closesSec) return overdue(situation, closesSec);
  if (memory.outcome === undefined || memory.outcome.kind === "failed")
    return wait(
      "the outcome behind the commitment is lost",
      Number.isFinite(closesSec) ? closesSec : undefined,
    );
  return { kind: "reveal" };
}

/** Others have the next move; if none of them makes it, the phase has to be ended for their sake. */
function watch(situation: Situation, reason: string, deadlineSec: number): Action {
  return situation.nowSec < deadlineSec ? wait(reason, deadlineSec) : overdue(situation, deadlineSec);
}

function overdue(situation: Situation, deadlineSec: number): Action {
  const fromSec = afterOthers(situation, deadlineSec);
  return situation.nowSec >= fromSec ? { kind: "cancelOverdue" } : wait("someone to end the phase", fromSec);
}

function afterOthers({ jitter }: Situation, sec: number): number {
  return sec + 1 + jitter * choreSpreadSec;
}

function wait(reason: string, untilSec?: number): Action {
  return { kind: "wait", untilSec, reason };
}

function done(reason: string): Action {
  return { kind: "done", reason };
}
