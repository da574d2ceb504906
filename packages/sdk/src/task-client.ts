/**
 * The application's workflow: pay for a task, hand its args to the relay, have its nodes drawn, follow it, fetch the
 * files and check them against the chain. Every step can be repeated: run it again with the same key after a crash,
 * and it goes on where it was, paying once.
 */
import type { Chain, EventNamed, HydrogenEvent, Sent } from "@hydrogen/chain";
import { taskHash as hashOfTask, type Receipt, TaskStatus } from "@hydrogen/protocol";
import { type Clock, isHydrogenError, Mutex, systemClock } from "@hydrogen/std";
import type { RoundProgress } from "./bridge-client.ts";
import { sdkError } from "./errors.ts";
import { buildReceipt, taskEvents } from "./receipt.ts";
import { type CreatedTask, isSettled, patiently, pollMs, type TaskWatch, watchTask } from "./task-watch.ts";
import { verifyFiles } from "./verify.ts";

/** What a task is doing, in order. */
export type TaskStage =
  | "creating"
  | "uploading_args"
  | "drawing"
  | "executing"
  | "revealing"
  | "fetching"
  | "verifying";

export type TaskRequest = {
  /** Names this task for ever: the same key never pays twice. */
  key: string;
  /** 0: Stable Diffusion, 1: GPT. */
  taskType: number;
  /** Sent and hashed exactly as it is. */
  argsText: string;
  /** Least memory a node must have, in GB; one of the classes of the Node contract. */
  vramLimit: number;
};

export type TaskHooks = {
  onStage?: (stage: TaskStage, taskId: bigint | undefined) => void;
  onRounds?: (rounds: RoundProgress[]) => void;
  signal?: AbortSignal | undefined;
};

export type TaskOutcome = { taskId: bigint; files: Uint8Array[]; receipt: Receipt };

/** The part of a sender that this needs: `createSender` of @hydrogen/chain, or a browser wallet behind the same members. */
export type TaskSender = {
  readonly address: `0x${string}`;
  send(
    request: { key: string; call: ReturnType<Chain["calls"]["task"]["drawNodes"]> },
    wait?: { signal?: AbortSignal | undefined },
  ): Promise<Sent>;
  /** What is known of a key, if anything. A wallet that forgets leaves it out: after a crash it cannot go on. */
  record?(key: string): unknown;
};

/** The part of the relay client that this needs. */
export type TaskRelay = {
  uploadArgs(taskId: bigint, argsText: string, signal?: AbortSignal): Promise<unknown>;
  getProgress(taskId: bigint, signal?: AbortSignal): Promise<RoundProgress[]>;
  getResult(taskId: bigint, index: number, signal?: AbortSignal): Promise<Uint8Array>;
};

export type TaskClientDeps = { chain: Chain; sender: TaskSender; relay: TaskRelay; clock?: Clock };

export type TaskClient = {
  /** The fee of the next task, in wei of CNX. */
  feeWei(): Promise<bigint>;
  /**
   * Runs one task to its end.
   *
   * Outages of chain and relay are waited through. Once the task is on chain it ends by the chain's own deadlines, which
   * this enforces, and only after its fee is paid out or returned to the last CNX.
   *
   * @throws FUNDS_TOO_LOW before anything is paid; TASK_ABORTED_ON_CHAIN with reason and refund; RESULT_NOT_VERIFIED;
   * the errors of the chain and the relay that trying again does not mend; the signal's reason
   */
  run(request: TaskRequest, hooks?: TaskHooks): Promise<TaskOutcome>;
  /** Whether the key's task has been sent to the chain: then it is paid for, or will be, whatever else happens. */
  isSubmitted(key: string): boolean;
  /** What a task on chain has cost so far: its fee less what came back, in wei of CNX. Waits through outages. */
  spentWei(taskId: bigint, signal?: AbortSignal): Promise<bigint>;
};

/** Tries to get files that the chain says were uploaded, and that the relay does not have or has wrong: about 90 s. */
const maxFetchStrikes = 20;
const slowFetchMs = 5_000;

export function createTaskClient(deps: TaskClientDeps): TaskClient {
  const { chain, sender, relay, clock = systemClock } = deps;
  const approving = new Mutex();
  const createKey = (key: string) => `${key}:create`;
  const isSubmitted = (key: string) => sender.record?.(createKey(key)) !== undefined;

  async function ensureFunds(key: string, signal: AbortSignal | undefined): Promise<void> {
    const feeWei = await chain.task.taskFee();
    const balanceWei = await chain.token.balanceOf(sender.address);
    if (balanceWei < feeWei) throw sdkError("FUNDS_TOO_LOW", { address: sender.address, balanceWei, feeWei });
    await approving.run(async () => {
      if ((await chain.token.allowance(sender.address, chain.addresses.task)) >= feeWei) return;
      const call = chain.calls.token.approve(chain.addresses.task, 2n ** 256n - 1n);
      await sender.send({ key: `${key}:approve`, call }, { signal });
    });
  }

  async function create(request: TaskRequest, signal: AbortSignal | undefined): Promise<CreatedTask> {
    const taskHash = hashOfTask(request.argsText);
    // What was submitted before a crash is paid for, or will be without us.
    if (!isSubmitted(request.key)) await ensureFunds(request.key, signal);
    signal?.throwIfAborted();
    const call = chain.calls.task.createTask(
      BigInt(request.taskType),
      taskHash,
      `0x${"00".repeat(32)}`,
      BigInt(request.vramLimit),
    );
    const { receipt } = await sender.send({ key: createKey(request.key), call }, { signal });
    const created = chain
      .eventsIn(receipt)
      .find((event): event is EventNamed<"TaskPending"> => event.name === "TaskPending");
    if (created === undefined) throw sdkError("TASK_NOT_CREATED", { transaction: receipt.transactionHash });
    const [{ timestampSec }, { queueSec, uploadSec }] = await Promise.all([
      chain.block(receipt.blockNumber),
      chain.task.getParameters(),
    ]);
    return {
      taskId: created.args.taskId,
      taskHash,
      block: receipt.blockNumber,
      createdSec: timestampSec,
      queueSec: Number(queueSec),
      uploadSec: Number(uploadSec),
    };
  }

  /** The files, once they are there and are those that the chain verified; undefined if the task is aborted. */
  async function fetchFiles(
    created: CreatedTask,
    watch: TaskWatch,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array[] | undefined> {
    const { taskId } = created;
    for (let strikes = 0; ; ) {
      const task = await watch.look();
      if (task.status === TaskStatus.Aborted) return undefined;
      try {
        const count = (task.results[Number(task.resultRound)]!.length - 2) / 16;
        const files: Uint8Array[] = [];
        for (let i = 0; i < count; i++) files.push(await relay.getResult(taskId, i, signal));
        verifyFiles(await taskEvents(chain, taskId, created.block), files);
        return files;
      } catch (error) {
        signal?.throwIfAborted();
        if (!isHydrogenError(error) || !error.retryable) throw error;
        // Before the upload is reported its files may be missing, and an outage may last.
        const due = task.status === TaskStatus.Done || error.code === "RESULT_NOT_VERIFIED";
        if (due && !isOutage(error) && ++strikes >= maxFetchStrikes) throw error;
      }
      const pauseMs = Math.min(slowFetchMs, pollMs * 2 ** strikes);
      await (strikes === 0 ? watch.pause(pauseMs) : clock.sleep(pauseMs, signal));
    }
  }

  async function abortError(created: CreatedTask, cause: unknown): Promise<Error> {
    const events = await taskEvents(chain, created.taskId, created.block);
    const reason = events.find((event) => event.name === "TaskAborted")?.args.reason;
    const facts = { taskId: created.taskId, reason, refundedWei: refundedWei(events) };
    return sdkError("TASK_ABORTED_ON_CHAIN", facts, cause);
  }

  /** What may fail without ending the task; it stops when the nodes have decided. */
  function startAside(created: CreatedTask, argsText: string, hooks: TaskHooks) {
    const over = new AbortController();
    const signal = hooks.signal === undefined ? over.signal : AbortSignal.any([hooks.signal, over.signal]);
    let failure: unknown;
    const { taskId } = created;
    patiently(() => relay.uploadArgs(taskId, argsText, signal), clock, signal).catch((error: unknown) => {
      if (!signal.aborted) failure = error; // the nodes then end the task, and this was the cause
    });
    const showProgress = async (onRounds: NonNullable<TaskHooks["onRounds"]>): Promise<never> => {
      for (;;) {
        await clock.sleep(pollMs, signal);
        const rounds = await relay.getProgress(taskId, signal).catch(() => undefined);
        if (rounds !== undefined && !signal.aborted) onRounds(rounds);
      }
    };
    if (hooks.onRounds !== undefined) showProgress(hooks.onRounds).catch(() => undefined);
    return { failure: () => failure, end: () => over.abort() };
  }

  async function runOnce(
    request: TaskRequest,
    hooks: TaskHooks,
    stages: ReturnType<typeof stopwatch>,
  ): Promise<TaskOutcome> {
    const { signal } = hooks;
    const enter = (stage: TaskStage, taskId?: bigint) => {
      if (stages.enter(stage)) hooks.onStage?.(stage, taskId);
    };
    enter("creating");
    const created = await patiently(() => create(request, signal), clock, signal);
    const { taskId } = created;
    const watch = watchTask(request.key, created, { chain, sender, clock }, signal);
    enter("uploading_args", taskId);
    const aside = startAside(created, request.argsText, hooks);

    const result = async (): Promise<Uint8Array[] | undefined> => {
      enter("drawing", taskId);
      await watch.until(({ status }) => {
        if (status === TaskStatus.Executing) enter("executing", taskId);
        if (status === TaskStatus.Revealing) enter("revealing", taskId);
        return status >= TaskStatus.Uploading;
      });
      aside.end();
      enter("fetching", taskId);
      return fetchFiles(created, watch, signal);
    };
    let files: Uint8Array[] | undefined;
    let failure: unknown;
    try {
      files = await result();
      if (files !== undefined) enter("verifying", taskId);
    } catch (error) {
      if (isHydrogenError(error, "TASK_MOVED")) throw error;
      signal?.throwIfAborted();
      failure = error;
    } finally {
      aside.end();
    }
    // However it went, the books are closed before anyone hears of it.
    const { status } = await watch.until(isSettled);
    if (files !== undefined) {
      const stagesMs = stages.finish();
      const receipt = () => buildReceipt(chain, taskId, stagesMs, created.block);
      return { taskId, files, receipt: await patiently(receipt, clock, signal) };
    }
    if (status !== TaskStatus.Aborted) throw failure ?? sdkError("TASK_MOVED", { taskId });
    throw await patiently(() => abortError(created, failure ?? aside.failure()), clock, signal);
  }

  return {
    feeWei: () => chain.task.taskFee(),
    isSubmitted,
    spentWei: (taskId, signal) =>
      patiently(
        async () => {
          const { feeWei, createdBlock } = await chain.task.getTask(taskId);
          return feeWei - refundedWei(await taskEvents(chain, taskId, createdBlock));
        },
        clock,
        signal,
      ),
    run: async (request, hooks = {}) => {
      const stages = stopwatch(clock);
      for (;;) {
        try {
          return await runOnce(request, hooks, stages);
        } catch (error) {
          if (!isHydrogenError(error, "TASK_MOVED")) throw error;
        }
        await clock.sleep(pollMs, hooks.signal);
      }
    },
  };
}

function refundedWei(events: readonly HydrogenEvent[]): bigint {
  return events.reduce(
    (sum, event) => (event.name === "TaskRefunded" ? sum + event.args.amountWei : sum),
    0n,
  );
}

function isOutage(error: unknown): boolean {
  return isHydrogenError(error, "RELAY_UNREACHABLE", "CHAIN_UNREACHABLE", "CHAIN_BUSY");
}

/** Measures how long each stage took. */
function stopwatch(clock: Clock) {
  const spentMs: Record<string, number> = {};
  let current: { stage: string; sinceMs: number } | undefined;
  const close = () => {
    if (current === undefined) return;
    spentMs[current.stage] = (spentMs[current.stage] ?? 0) + clock.nowMs() - current.sinceMs;
  };
  return {
    /** Whether this is a new stage. */
    enter: (stage: string): boolean => {
      if (current?.stage === stage) return false;
      close();
      current = { stage, sinceMs: clock.nowMs() };
      return true;
    },
    finish: (): Record<string, number> => {
      close();
      current = undefined;
      return spentMs;
    },
  };
}
