/**
 * The application's workflow: pay for a task, hand its args to the relay, have its nodes drawn, follow it, fetch the
 * files and check them against the chain. Every step can be repeated: run it again with the same key after a crash,
 * and it goes on where it was, paying once.
 */
import type { Chain, EventNamed, Sent } from "@hydrogen/chain";
import { taskHash as hashOfTask, type Receipt, TaskStatus } from "@hydrogen/protocol";
import { type Clock, isHydrogenError, Mutex, systemClock, waitFor } from "@hydrogen/std";
import type { RoundProgress } from "./bridge-client.ts";
import { sdkError } from "./errors.ts";
import { buildReceipt, taskEvents } from "./receipt.ts";
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

/** The part of a sender that this needs: `createSender` of @hydrogen/chain, or a browser wallet behind the same two members. */
export type TaskSender = {
  readonly address: `0x${string}`;
  send(
    request: { key: string; call: ReturnType<Chain["calls"]["task"]["drawNodes"]> },
    wait?: { signal?: AbortSignal | undefined },
  ): Promise<Sent>;
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
   * @throws FUNDS_TOO_LOW before anything is paid; TASK_ABORTED_ON_CHAIN with reason and refund; RESULT_NOT_VERIFIED;
   * the errors of the chain and the relay; the signal's reason
   */
  run(request: TaskRequest, hooks?: TaskHooks): Promise<TaskOutcome>;
};

const pollMs = 200;

export function createTaskClient(deps: TaskClientDeps): TaskClient {
  const { chain, sender, relay, clock = systemClock } = deps;
  const approving = new Mutex();

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

  async function create(
    request: TaskRequest,
    signal: AbortSignal | undefined,
  ): Promise<{ taskId: bigint; block: bigint }> {
    await ensureFunds(request.key, signal);
    const call = chain.calls.task.createTask(
      BigInt(request.taskType),
      hashOfTask(request.argsText),
      `0x${"00".repeat(32)}`,
      BigInt(request.vramLimit),
    );
    const { receipt } = await sender.send({ key: `${request.key}:create`, call }, { signal });
    const created = chain
      .eventsIn(receipt)
      .find((event): event is EventNamed<"TaskPending"> => event.name === "TaskPending");
    if (created === undefined) throw sdkError("TASK_NOT_CREATED", { transaction: receipt.transactionHash });
    return { taskId: created.args.taskId, block: receipt.blockNumber };
  }

  async function uploadArgs(
    taskId: bigint,
    argsText: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await untilNotRetryable(() => relay.uploadArgs(taskId, argsText, signal).then(() => true), signal);
  }

  /** Sends drawNodes until the nodes are drawn, by us or by anyone; waits as long as too few are free. */
  async function draw(key: string, taskId: bigint, signal: AbortSignal | undefined): Promise<void> {
    let sent = 0;
    await waitFor(
      async () => {
        const { status } = await chain.task.getTask(taskId);
        if (status !== TaskStatus.Pending) return true;
        try {
          await sender.send(
            { key: `${key}:draw:${sent}`, call: chain.calls.task.drawNodes(taskId) },
            { signal },
          );
          sent++;
        } catch (error) {
          // Not yet possible, or somebody else was faster: the next look at the status tells.
          if (!isHydrogenError(error, "TRANSACTION_REVERTED")) throw error;
          if (error.facts.hash !== undefined) sent++;
        }
        return false;
      },
      { clock, signal, intervalMs: pollMs },
    );
  }

  /** Waits for a result, reporting stages and the nodes' progress. */
  async function decided(taskId: bigint, hooks: TaskHooks): Promise<void> {
    await waitFor(
      async () => {
        const { status } = await chain.task.getTask(taskId);
        if (status === TaskStatus.Aborted) throw await abortError(taskId);
        if (status === TaskStatus.Uploading || status === TaskStatus.Done) return true;
        hooks.onStage?.(status === TaskStatus.Revealing ? "revealing" : "executing", taskId);
        if (hooks.onRounds !== undefined) {
          const rounds = await relay.getProgress(taskId, hooks.signal).catch(() => []);
          hooks.signal?.throwIfAborted();
          hooks.onRounds(rounds);
        }
        return false;
      },
      { clock, signal: hooks.signal, intervalMs: pollMs },
    );
  }

  async function abortError(taskId: bigint): Promise<Error> {
    const events = await taskEvents(chain, taskId);
    const reason = events.find((event) => event.name === "TaskAborted")?.args.reason;
    const refundedWei = events.reduce(
      (sum, event) => (event.name === "TaskRefunded" ? sum + event.args.amountWei : sum),
      0n,
    );
    return sdkError("TASK_ABORTED_ON_CHAIN", { taskId, reason, refundedWei });
  }

  /** The files, once they are there and are those that the chain verified. */
  async function fetchFiles(taskId: bigint, signal: AbortSignal | undefined): Promise<Uint8Array[]> {
    return untilNotRetryable(async () => {
      const { status } = await chain.task.getTask(taskId);
      if (status === TaskStatus.Aborted) throw await abortError(taskId);
      const events = await taskEvents(chain, taskId);
      const success = events.find((event) => event.name === "TaskSuccess");
      if (success === undefined) return undefined;
      const count = (success.args.result.length - 2) / 16;
      const files: Uint8Array[] = [];
      for (let i = 0; i < count; i++) files.push(await relay.getResult(taskId, i, signal));
      verifyFiles(events, files);
      return files;
    }, signal);
  }

  /** Repeats while the action has nothing yet, or fails with an error that says trying again may help. */
  function untilNotRetryable<T>(
    action: () => Promise<T | undefined>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return waitFor(
      async () => {
        try {
          return await action();
        } catch (error) {
          if (isHydrogenError(error) && error.retryable) return undefined;
          throw error;
        }
      },
      { clock, signal, intervalMs: pollMs },
    );
  }

  /** Resolves when the last of the task's transactions is there: then everyone is paid or not. */
  async function settled(taskId: bigint, signal: AbortSignal | undefined): Promise<void> {
    await waitFor(
      async () => {
        const { status } = await chain.task.getTask(taskId);
        return status === TaskStatus.Done || status === TaskStatus.Aborted;
      },
      { clock, signal, intervalMs: pollMs },
    );
  }

  return {
    feeWei: () => chain.task.taskFee(),
    run: async (request, hooks = {}) => {
      const { signal } = hooks;
      const stages = stopwatch(clock);
      const enter = (stage: TaskStage, taskId?: bigint) => {
        if (stages.enter(stage)) hooks.onStage?.(stage, taskId);
      };
      enter("creating");
      const { taskId } = await create(request, signal);
      enter("uploading_args", taskId);
      const uploaded = uploadArgs(taskId, request.argsText, signal);
      uploaded.catch(() => undefined); // a failure is met below; until then it must not count as unhandled
      enter("drawing", taskId);
      await draw(request.key, taskId, signal);
      await uploaded;
      enter("executing", taskId);
      await decided(taskId, { ...hooks, onStage: enter });
      enter("fetching", taskId);
      const files = await fetchFiles(taskId, signal);
      enter("verifying", taskId);
      await settled(taskId, signal);
      return { taskId, files, receipt: await buildReceipt(chain, taskId, stages.finish()) };
    },
  };
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
