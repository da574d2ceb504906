/** Runs one round in the engine and turns whatever comes of it into an outcome the journal can keep. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorClassOf } from "@hydrogen/protocol";
import { type Clock, type Hex, HydrogenError } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import { assertSupported, parseTaskArgs } from "@hydrogen/tasks";
import type { Logger } from "@hydrogen/telemetry";
import type { Behaviour } from "./behaviour.ts";
import type { Engine } from "./engine/engine.ts";
import type { EngineProgress } from "./engine/messages.ts";
import type { Round } from "./journal.ts";
import type { Outcome } from "./next-action.ts";
import { keepFiles, readProduced } from "./round-files.ts";
import type { NodeMetrics } from "./status.ts";

export type RunDeps = {
  engine: Engine;
  blobs: BlobStore;
  behaviour: Behaviour;
  /** A directory for what the engine writes. */
  scratchDir: string;
  clock: Clock;
  log: Logger;
  /** The block clock. */
  nowSec: () => number;
  metrics: Pick<NodeMetrics, "outcomes" | "runSeconds">;
};

/** After a failure of its own the node tries again this much later, doubling. */
const firstRetrySec = 2;
const longestRetrySec = 60;

/**
 * @throws only the signal's reason: then there is no outcome, and the round may be run again
 */
export async function runTask(
  deps: RunDeps,
  round: Round,
  taskType: number,
  hooks: { onProgress: (progress: EngineProgress) => void; signal: AbortSignal },
): Promise<Outcome> {
  const { log } = deps;
  const outputDir = join(deps.scratchDir, `${round.taskId}-${round.round}-${round.attempts}`);
  try {
    const { args } = parseTaskArgs(round.args!, taskType);
    assertSupported(args);
    await rm(outputDir, { recursive: true, force: true });
    await mkdir(outputDir, { recursive: true });
    const startedMs = deps.clock.nowMs();
    const made = await deps.engine.run({ args, outputDir, ...hooks });
    deps.metrics.runSeconds.observe((deps.clock.nowMs() - startedMs) / 1000);
    const files = await readProduced(outputDir, made.files);
    const { result, files: presented } = deps.behaviour.present({ result: made.result, files });
    const filesDigest: Hex = await keepFiles(deps.blobs, round, presented);
    deps.metrics.outcomes.inc({ outcome: "result" });
    return { kind: "result", result, filesDigest, fileCount: presented.length };
  } catch (error) {
    hooks.signal.throwIfAborted();
    const outcome = outcomeOf(error, round.attempts, deps.nowSec());
    deps.metrics.outcomes.inc({ outcome: outcome.kind });
    log.warn("the task could not be run", { task: round.taskId, error, becomes: outcome.kind });
    return outcome;
  } finally {
    await rm(outputDir, { recursive: true, force: true });
  }
}

/**
 * Only an error that is declared to be the task's own fault is reported; of any other the chain hears nothing. What this
 * engine lacks is none of them: newer nodes may have it, and would have this one slashed.
 */
export function outcomeOf(error: unknown, attemptsBefore: number, nowSec: number): Outcome {
  const known = error instanceof HydrogenError ? error : undefined;
  const errorClass = known?.failureClass === "unsupported" ? undefined : errorClassOf(known?.failureClass);
  const code = known?.code ?? "ENGINE_PROCESS_FAILED";
  if (errorClass !== undefined) return { kind: "error", errorClass, code };
  const retryAtSec = nowSec + Math.min(longestRetrySec, firstRetrySec * 2 ** attemptsBefore);
  return {
    kind: "failed",
    failureClass: known?.failureClass ?? "execution",
    code,
    retryAtSec: known === undefined || known.retryable ? retryAtSec : undefined,
  };
}
