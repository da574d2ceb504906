/** Carries out what `nextAction` decided for a task. Every one of these may be repeated after a crash at any point. */
import type { Chain } from "@hydrogen/chain";
import { commitment, errorDigest, resultDigest, taskHash } from "@hydrogen/protocol";
import type { RelayClient } from "@hydrogen/sdk";
import { bytesToHex, type Clock, type Hex } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { Logger } from "@hydrogen/telemetry";
import type { Behaviour } from "./behaviour.ts";
import type { ChainTask } from "./chain-task.ts";
import { nodeError } from "./errors.ts";
import { type Journal, type Round, roundId } from "./journal.ts";
import type { Action, Outcome } from "./next-action.ts";
import { throttleProgress } from "./progress.ts";
import { loadFiles } from "./round-files.ts";
import { type RunDeps, runTask } from "./run-task.ts";
import type { Send } from "./transactions.ts";

/** The part of the relay client that a node needs. */
export type NodeRelay = Pick<RelayClient, "getTaskArgs" | "postProgress" | "uploadResults">;

export type TaskActionsDeps = {
  self: Hex;
  chain: Pick<Chain, "calls">;
  send: Send;
  relay: NodeRelay;
  journal: Journal;
  blobs: BlobStore;
  behaviour: Behaviour;
  run: RunDeps;
  clock: Clock;
  log: Logger;
  /** `n` secret bytes. */
  randomBytes: (n: number) => Uint8Array;
  reach: (point: string) => Promise<void>;
};

/** Four times a second is as live as an eye can tell. */
const progressEveryMs = 250;

export function createTaskActions(deps: TaskActionsDeps) {
  const { journal, relay, send, reach, log } = deps;
  const { task: calls } = deps.chain.calls;

  const fetchArgs = async (round: Round, signal: AbortSignal): Promise<void> => {
    const args = await relay.getTaskArgs(round.taskId, signal);
    const actual = taskHash(args);
    if (actual !== round.taskHash)
      throw nodeError("NODE_ARGS_MISMATCH", { expected: round.taskHash, actual });
    await reach("args:fetched");
    journal.setArgs(round, args);
    await reach("args:kept");
  };

  const execute = async (round: Round, task: ChainTask, signal: AbortSignal): Promise<void> => {
    const progress = throttleProgress<{ stage: string; step: number; steps: number }>(
      (latest, abort) => relay.postProgress(round.taskId, { round: round.round, ...latest }, abort),
      { clock: deps.clock, everyMs: progressEveryMs },
    );
    try {
      const outcome = await runTask(deps.run, round, task.taskType, {
        onProgress: ({ stage, step, steps }) => {
          progress.report({ stage, step, steps });
          if (stage === "running") void reach("running");
        },
        signal,
      });
      await reach("executed");
      const salt = outcome.kind === "failed" ? undefined : bytesToHex(deps.randomBytes(32));
      journal.setOutcome(round, outcome, salt);
      await reach("outcome:kept");
    } finally {
      progress.stop();
    }
  };

  const commit = async (round: Round, signal: AbortSignal): Promise<void> => {
    const { outcome, salt } = sworn(round);
    const digest =
      outcome.kind === "result"
        ? resultDigest(outcome.result, outcome.filesDigest)
        : errorDigest(outcome.errorClass);
    const committed = commitment({
      taskId: round.taskId,
      round: round.round,
      node: deps.self,
      resultDigest: digest,
      salt,
    });
    await transact(
      round,
      "commit",
      calls.submitTaskResultCommitment(round.taskId, BigInt(round.round), committed),
      signal,
    );
    journal.mark(round, "committed");
  };

  const reveal = async (round: Round, signal: AbortSignal): Promise<void> => {
    const { outcome, salt } = sworn(round);
    const call =
      outcome.kind === "result"
        ? calls.discloseTaskResult(
            round.taskId,
            BigInt(round.round),
            outcome.result,
            outcome.filesDigest,
            salt,
          )
        : calls.reportTaskError(round.taskId, BigInt(round.round), outcome.errorClass, salt);
    await transact(round, "reveal", call, signal);
    journal.mark(round, "revealed");
  };

  const upload = async (round: Round, signal: AbortSignal): Promise<void> => {
    const { outcome } = sworn(round);
    if (outcome.kind !== "result") return;
    const files = await loadFiles(deps.blobs, round, outcome);
    await reach("upload:before");
    await relay.uploadResults(round.taskId, files, signal);
    await reach("upload:after");
    journal.mark(round, "uploaded");
    await reach("upload:kept");
  };

  const reportUploaded = async (round: Round, signal: AbortSignal): Promise<void> => {
    const call = calls.reportResultsUploaded(round.taskId, BigInt(round.round));
    await transact(round, "report", call, signal);
    journal.mark(round, "reported");
  };

  const transact = async (
    round: Round,
    name: string,
    call: Parameters<Send>[0]["call"],
    signal: AbortSignal,
  ) => {
    await reach(`${name}:before`);
    const sent = send({ purpose: `${name}:${roundId(round)}`, call }, signal);
    sent.catch(() => undefined);
    await reach(`${name}:sending`);
    const { hash } = await sent;
    await reach(`${name}:mined`);
    log.info(`${name} is on chain`, { task: round.taskId, round: round.round, hash });
  };

  /** @throws whatever the chain, the relay or the disk throws: the job is tried again later */
  return async (
    action: Action,
    task: ChainTask,
    round: Round | undefined,
    signal: AbortSignal,
  ): Promise<void> => {
    if (!deps.behaviour.permits(action.kind)) return idle(signal);
    switch (action.kind) {
      case "draw": {
        const call = calls.drawNodes(task.id);
        await send({ purpose: `draw:${task.id}`, call, repeatable: true }, signal);
        return;
      }
      case "cancelOverdue": {
        const call = calls.cancelTask(task.id);
        await send({ purpose: `cancel:${task.id}:${task.status}`, call, repeatable: true }, signal);
        return;
      }
      case "fetchArgs":
        return fetchArgs(round!, signal);
      case "execute":
        return execute(round!, task, signal);
      case "commit":
        return commit(round!, signal);
      case "reveal":
        return reveal(round!, signal);
      case "upload":
        return upload(round!, signal);
      case "reportUploaded":
        return reportUploaded(round!, signal);
      default:
        return;
    }
  };
}

/** What the node stands by on chain, with the salt that was kept together with it. */
function sworn(round: Round): { outcome: Exclude<Outcome, { kind: "failed" }>; salt: Hex } {
  const { outcome, salt } = round;
  if (outcome === undefined || outcome.kind === "failed" || salt === undefined)
    throw nodeError("NODE_FILES_LOST", { task: round.taskId });
  return { outcome, salt };
}

function idle(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
