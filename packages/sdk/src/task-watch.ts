/**
 * One task as its creator watches it: looks at the chain, waits through its outages, and does what is due on the way:
 * the draw, and the end of a phase that nobody has ended. Anyone may do either, so neither needs to succeed here.
 */
import type { Chain } from "@hydrogen/chain";
import { TaskStatus, Verdict } from "@hydrogen/protocol";
import { type Clock, equalHex, type Hex, isHydrogenError, nowSec, retry } from "@hydrogen/std";
import { sdkError } from "./errors.ts";
import type { TaskSender } from "./task-client.ts";

export type TaskInfo = Awaited<ReturnType<Chain["task"]["getTask"]>>;

/** What the creation's transaction and the contract's parameters tell of a task. */
export type CreatedTask = {
  readonly taskId: bigint;
  readonly taskHash: Hex;
  /** No event of the task lies below. */
  readonly block: bigint;
  /** Of that block, in seconds of the block clock. */
  readonly createdSec: number;
  readonly queueSec: number;
  readonly uploadSec: number;
};

export type TaskWatch = {
  /** The task as it is now. @throws TASK_MOVED; what the chain refuses for good; the signal's reason */
  look(): Promise<TaskInfo>;
  /** Waits for the chain's next block since the last look, but no longer than this. @throws the signal's reason */
  pause(ms: number): Promise<void>;
  /** Looks until this holds. @throws as `look` */
  until(holds: (task: TaskInfo) => boolean): Promise<TaskInfo>;
};

export type TaskWatchDeps = { chain: Chain; sender: TaskSender; clock: Clock };

export const pollMs = 200;
const slowPollMs = 1_000;
/** How long others, who lose more by it, may take to end an overdue phase. */
const overduePatienceSec = 5;
const noResult = 3;

/** @param key names the transactions, as in TaskRequest */
export function watchTask(
  key: string,
  created: CreatedTask,
  deps: TaskWatchDeps,
  signal: AbortSignal | undefined,
): TaskWatch {
  const { chain, sender, clock } = deps;
  const { taskId } = created;
  const draw = createChore("draw", { firstMs: pollMs, maxMs: slowPollMs });
  const cancel = createChore("cancel", { firstMs: 1_000, maxMs: 15_000 });

  /** Does a chore now and then, beside the looking, until the task's state shows that it is done. */
  function createChore(name: string, pause: { firstMs: number; maxMs: number }) {
    let sent = 0;
    let pauseMs = pause.firstMs;
    let notBeforeMs = 0;
    let isBusy = false;
    return (call: Parameters<TaskSender["send"]>[0]["call"]): void => {
      if (isBusy || clock.nowMs() < notBeforeMs) return;
      isBusy = true;
      sender
        .send({ key: `${key}:${name}:${sent}`, call }, { signal })
        .then(
          () => sent++,
          (error: unknown) => {
            // It reverted on chain, and its key with it.
            if (isHydrogenError(error, "TRANSACTION_REVERTED") && error.facts.hash !== undefined) sent++;
            notBeforeMs = clock.nowMs() + pauseMs;
            pauseMs = Math.min(pause.maxMs, pauseMs * 2);
          },
        )
        .finally(() => {
          isBusy = false;
        });
    };
  }

  let seen: Hex | undefined;
  const look = async (): Promise<TaskInfo> => {
    const [task, head] = await patiently(
      () => Promise.all([chain.task.getTask(taskId), chain.head()]),
      clock,
      signal,
    );
    if (!equalHex(task.creator, sender.address) || !equalHex(task.taskHash, created.taskHash))
      throw sdkError("TASK_MOVED", { taskId });
    seen = head.hash;
    const { cancelTask, drawNodes } = chain.calls.task;
    const overdueSec = Math.max(nowSec(clock), head.timestampSec) - (overdueAtSec(task, created) ?? Infinity);
    if (overdueSec > overduePatienceSec) cancel(cancelTask(taskId));
    else if (task.status === TaskStatus.Pending) draw(drawNodes(taskId));
    return task;
  };

  const pause = async (ms: number): Promise<void> => {
    const over = new AbortController();
    const ends = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
    try {
      await Promise.race([clock.sleep(ms, ends), chain.nextHead(seen, ends)]);
    } finally {
      over.abort();
    }
  };

  return {
    look,
    pause,
    until: async (holds) => {
      for (let pauseMs = pollMs; ; pauseMs = Math.min(slowPollMs, pauseMs * 1.1)) {
        const task = await look();
        if (holds(task)) return task;
        await pause(pauseMs);
      }
    },
  };
}

/**
 * When the task's current phase ends by its deadline, in seconds of the block clock: from then on `cancelTask` does
 * something. undefined: nobody owes anything any more.
 */
export function overdueAtSec(
  task: TaskInfo,
  limits: Pick<CreatedTask, "createdSec" | "queueSec" | "uploadSec">,
): number | undefined {
  const reveals = owesReveal(task) ? [Number(task.revealDeadline)] : [];
  switch (task.status) {
    case TaskStatus.Pending:
      return limits.createdSec + limits.queueSec;
    case TaskStatus.Executing:
    case TaskStatus.Revealing:
      return Number(task.revealDeadline || task.commitDeadline);
    case TaskStatus.Uploading:
      return Math.min(Number(task.uploadDeadline) + limits.uploadSec, ...reveals);
    default:
      return reveals[0];
  }
}

/** Whether the last CNX of the task's fee has been paid or returned. */
export function isSettled(task: TaskInfo): boolean {
  return (task.status === TaskStatus.Done || task.status === TaskStatus.Aborted) && !owesReveal(task);
}

/** Two agreed, and the third has committed and not revealed: its share is paid or returned when it does, or is late. */
function owesReveal({ resultRound, verdicts }: TaskInfo): boolean {
  return Number(resultRound) !== noResult && verdicts.includes(Verdict.Committed);
}

/** Repeats what fails with an error that says that trying again may help, ever more slowly, without end. */
export function patiently<T>(
  action: () => Promise<T>,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<T> {
  return retry(action, { clock, signal, attempts: Infinity, delayMs: pollMs });
}
