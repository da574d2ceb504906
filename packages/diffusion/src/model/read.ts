/** Finds out in which form a model is on disk, and reads it; and its hash. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { throwIfCancelled } from "../cancel.ts";
import { diffusionError } from "../errors.ts";
import type { ModelFile } from "./files.ts";
import { type ModelFolder, readModelFolder } from "./folder.ts";
import { readSingleFile } from "./single-file.ts";

/**
 * Reads everything but the weights of a diffusers folder, of a safetensors file with all of a model in it, or of a
 * folder with one such file.
 *
 * @param tokenizerDir Where the tokenizer's files are instead of where the model has them.
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED, MODEL_WEIGHTS_INVALID, MODEL_TENSOR_MISSING,
 * MODEL_TOKENIZER_INVALID
 */
export async function readModel(path: string, tokenizerDir?: string): Promise<ModelFolder> {
  const found = await stat(path).catch((cause) => {
    throw diffusionError("MODEL_FILE_MISSING", { file: basename(path) }, cause);
  });
  if (!found.isDirectory()) return readSingleFile(path, tokenizerDir);
  const listed = await readdir(path);
  const [single, ...others] = listed.filter((name) => name.endsWith(".safetensors"));
  if (!listed.includes("model_index.json") && single !== undefined && others.length === 0) {
    return readSingleFile(join(path, single), tokenizerDir);
  }
  return readModelFolder(path, tokenizerDir);
}

/**
 * SHA-256, in hexadecimal, over the SHA-256 and name of each file, one line each.
 *
 * @throws ENGINE_CANCELLED
 */
export async function hashFiles(files: readonly ModelFile[], signal?: AbortSignal): Promise<string> {
  const whole = createHash("sha256");
  for (const { name, path } of files) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      throwIfCancelled(signal);
      hash.update(chunk as Buffer);
    }
    whole.update(`${hash.digest("hex")}  ${name}\n`);
  }
  return whole.digest("hex");
}
