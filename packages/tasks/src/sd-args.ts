/** From a document's text to checked args, and from a client's wishes to a document. */
import { canonicalJson } from "@hydrogen/protocol";
import { isHydrogenError, utf8Decode, utf8Encode } from "@hydrogen/std";
import type { z } from "zod";
import { taskError } from "./errors.ts";
import type { SdSchedulerInput } from "./schedulers.ts";
import { findBrokenRule } from "./sd-rules.ts";
import { type SdTaskArgs, type SdTaskArgsInput, sdTaskArgs } from "./sd-schema.ts";

/** Bytes of text; a ControlNet image is most of it. */
export const maxTaskArgsBytes = 8 * 1024 * 1024;

export type ParsedSdArgs = {
  args: SdTaskArgs;
  /** The exact text: it is what `taskHash` is taken of. */
  text: string;
};

/**
 * Reads and checks the args of an SD task.
 * @param text As it was sent; at most 8 MiB of UTF-8.
 * @throws ARGS_TOO_LARGE, ARGS_NOT_JSON
 * @throws ARGS_INVALID with `path` (dotted, "task_config.steps") and `reason`
 */
export function parseSdTaskArgs(text: string | Uint8Array): ParsedSdArgs {
  const bytes = typeof text === "string" ? utf8Encode(text) : text;
  if (bytes.length > maxTaskArgsBytes) {
    throw taskError("ARGS_TOO_LARGE", { bytes: bytes.length, maxBytes: maxTaskArgsBytes });
  }
  const { source, value } = readObject(text, bytes);
  const parsed = sdTaskArgs.safeParse(value);
  if (!parsed.success) throw argsInvalid(parsed.error);
  const broken = findBrokenRule(parsed.data);
  if (broken) throw taskError("ARGS_INVALID", { path: broken.path, reason: broken.message });
  return { args: parsed.data, text: source };
}

function readObject(text: string | Uint8Array, bytes: Uint8Array): { source: string; value: object } {
  try {
    const source = utf8Decode(bytes);
    // Neither a lone surrogate nor a byte order mark survives decoding: what is hashed would not be what was read.
    if (utf8Encode(source).length !== bytes.length || (typeof text === "string" && source !== text)) {
      throw new TypeError("not well-formed Unicode, or begins with a byte order mark");
    }
    const value: unknown = JSON.parse(source);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new TypeError("not an object");
    return { source, value };
  } catch (cause) {
    throw taskError("ARGS_NOT_JSON", {}, cause);
  }
}

function argsInvalid(error: z.ZodError) {
  const issue = error.issues[0]!;
  return taskError("ARGS_INVALID", {
    path: issue.path.join(".") || "(root)",
    reason: issue.message,
    problems: error.issues.length > 1 ? error.issues.length : undefined,
  });
}

/** What a client chooses, with a model's own defaults for the rest. */
export type SdTaskOptions = {
  /** A model's id, or id and variant. */
  model: string | { name: string; variant: string | null };
  prompt: string;
  negativePrompt?: string;
  /** 0 … 2,147,483,647. */
  seed: number;
  widthPx: number;
  heightPx: number;
  steps: number;
  cfg: number;
  /** A method, alone or with its options. */
  scheduler?: SdSchedulerInput | string;
  /** Default 1 (the schema's own default is 6). */
  numImages?: number;
  safetyChecker?: boolean;
};

/**
 * The args for one prompt, as canonical JSON: the same wishes give the same text and so the same `taskHash`.
 * @throws ARGS_INVALID
 * @example sdTaskArgsFor({ model: model.id, ...model.defaults, prompt: "a red apple", seed: 7 }).text
 */
export function sdTaskArgsFor(options: SdTaskOptions): ParsedSdArgs {
  const { scheduler } = options;
  const document: SdTaskArgsInput = {
    version: "2.5.0",
    base_model: options.model,
    prompt: options.prompt,
    negative_prompt: options.negativePrompt ?? "",
    task_config: {
      image_width: options.widthPx,
      image_height: options.heightPx,
      steps: options.steps,
      seed: options.seed,
      num_images: options.numImages ?? 1,
      safety_checker: options.safetyChecker ?? true,
      cfg: options.cfg,
    },
    ...(scheduler === undefined
      ? {}
      : {
          scheduler: typeof scheduler === "string" ? ({ method: scheduler } as SdSchedulerInput) : scheduler,
        }),
  };
  let text: string;
  try {
    text = canonicalJson(document);
  } catch (error) {
    if (!isHydrogenError(error, "JSON_NOT_CANONICAL")) throw error;
    throw taskError("ARGS_INVALID", { path: "(root)", reason: "a value has no JSON form" }, error);
  }
  return parseSdTaskArgs(text);
}
