/** The engine process. Started by the node only (child.ts): it introduces itself, then does what it is told, one thing at a time. */
import { engineFingerprint } from "@hydrogen/diffusion";
import { HydrogenError, type SerializedError } from "@hydrogen/std";
import { nodeError } from "../errors.ts";
import {
  engineProtocolVersion,
  engineTokenVariable,
  type FromEngine,
  type ToEngine,
  toEngine,
} from "./messages.ts";
import { createSdRunner } from "./sd-runner.ts";

const runner = createSdRunner();
let running: { id: number; controller: AbortController } | undefined;

process.on("message", (raw) => {
  const message = toEngine.parse(raw);
  if (message.type === "close") process.exit(0);
  if (message.type === "cancel") {
    if (running?.id === message.id) running.controller.abort();
    return;
  }
  const { id } = message;
  const controller = new AbortController();
  running = { id, controller };
  perform(message, controller.signal).then(
    (reply) => say(reply),
    (error) => say({ type: "error", id, error: serialize(error) }),
  );
});
// Without its node this process is of no use to anyone.
process.on("disconnect", () => process.exit(0));

const token = process.env[engineTokenVariable] ?? "";
delete process.env[engineTokenVariable];
say({ type: "hello", version: engineProtocolVersion, token, fingerprint: await engineFingerprint() });

async function perform(
  message: Extract<ToEngine, { type: "load" | "run" }>,
  signal: AbortSignal,
): Promise<FromEngine> {
  const { id, settings } = message;
  const hooks = {
    signal,
    onProgress: (stage: "loading" | "running" | "encoding", step: number, steps: number) =>
      say({ type: "progress", id, stage, step, steps }),
  };
  if (message.type === "load")
    return { type: "loaded", id, fingerprint: await runner.load(message.model, settings, hooks) };
  return { type: "result", id, ...(await runner.run(message.args, message.outputDir, settings, hooks)) };
}

function serialize(error: unknown): SerializedError {
  if (error instanceof HydrogenError) return error.toJSON();
  return nodeError("ENGINE_PROCESS_FAILED", {
    reason: error instanceof Error ? error.message : String(error),
  }).toJSON();
}

function say(message: FromEngine): void {
  process.send?.(message);
}
