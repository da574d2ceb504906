/**
 * What the node and its engine process say to each other over the IPC channel, one JSON message at a time. Pictures do
 * not travel here: the engine writes them into a directory the node names and reports their digests.
 */
import { z } from "zod";

/** Both sides must speak the same version: the engine says its own in the first message. */
export const engineProtocolVersion = 1;
/** The environment variable that carries the per-launch secret to the engine process. */
export const engineTokenVariable = "HYDROGEN_ENGINE_TOKEN";

const hex = z.templateLiteral(["0x", z.string().regex(/^[0-9a-f]*$/)]);
const requestId = z.int().positive();

const serializedError = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  hint: z.string().optional(),
  failureClass: z
    .enum([
      "args_invalid",
      "unsupported",
      "model_invalid",
      "model_unavailable",
      "resource",
      "execution",
      "cancelled",
    ])
    .optional(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

const runSettings = z.object({
  modelsDirs: z.array(z.string()),
  cacheDir: z.string(),
  threads: z.int().min(0),
});
/** Where the engine finds models and how many threads it may use; 0 lets it measure. */
export type RunSettings = z.infer<typeof runSettings>;

export const toEngine = z.discriminatedUnion("type", [
  z.object({ type: z.literal("load"), id: requestId, model: z.string(), settings: runSettings }),
  z.object({
    type: z.literal("run"),
    id: requestId,
    /** Parsed task args, as JSON. */
    args: z.unknown(),
    outputDir: z.string(),
    settings: runSettings,
  }),
  z.object({ type: z.literal("cancel"), id: requestId }),
  z.object({ type: z.literal("close") }),
]);
export type ToEngine = z.infer<typeof toEngine>;

const resultFile = z.object({ name: z.string().regex(/^[0-9]+\.(png|json)$/), keccak256: hex });

export const fromEngine = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("hello"),
    version: z.int(),
    token: z.string(),
    /** Names what must be equal for two engines to produce equal bits. */
    fingerprint: z.string(),
  }),
  z.object({
    type: z.literal("progress"),
    id: requestId,
    stage: z.enum(["loading", "running", "encoding"]),
    step: z.int().min(0),
    steps: z.int().min(0),
  }),
  z.object({ type: z.literal("loaded"), id: requestId, fingerprint: z.string() }),
  z.object({
    type: z.literal("result"),
    id: requestId,
    /** The protocol's `result` bytes. */
    result: hex,
    files: z.array(resultFile).min(1),
    fingerprint: z.string(),
  }),
  z.object({ type: z.literal("error"), id: requestId, error: serializedError }),
]);
export type FromEngine = z.infer<typeof fromEngine>;
export type EngineProgress = Pick<Extract<FromEngine, { type: "progress" }>, "stage" | "step" | "steps">;
export type EngineResult = Pick<Extract<FromEngine, { type: "result" }>, "result" | "files" | "fingerprint">;
