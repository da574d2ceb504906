/** Hashing the files of a model folder. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { modelError } from "./errors.ts";
import { isMissing, type ModelManifest, manifestName } from "./manifest.ts";

/** SHA-256 of a file, 64 lower-case hexadecimal digits. @throws the signal's reason */
export async function sha256File(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  return hash.digest("hex");
}

/**
 * Compares every file that the manifest names with its SHA-256. Files that it does not name are not looked at.
 * @throws MODEL_DAMAGED with the first `path` that is missing or differs; the signal's reason
 */
export async function verifyFiles(
  dir: string,
  manifest: Pick<ModelManifest, "id" | "files">,
  signal?: AbortSignal,
): Promise<void> {
  for (const [path, expected] of Object.entries(manifest.files)) {
    let actual: string;
    try {
      actual = await sha256File(join(dir, path), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isMissing(error)) throw error;
      throw modelError("MODEL_DAMAGED", { model: manifest.id, path, reason: "missing" }, error);
    }
    if (actual !== expected)
      throw modelError("MODEL_DAMAGED", { model: manifest.id, path, expected, actual });
  }
}

/** What decides what a model draws: configuration, vocabulary, weights. Not the model card, samples or curves. */
const essential = /\.(json|txt|model|safetensors)$/;

/** SHA-256 of every essential file below `dir`, by path, in order of path; the manifest itself and hidden files excepted. */
export async function hashFolder(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .filter((path) => path !== manifestName && essential.test(path))
    .filter((path) => !path.split("/").some((part) => part.startsWith(".")))
    .sort();
  const files: Record<string, string> = {};
  for (const path of paths) files[path] = await sha256File(join(dir, path));
  return files;
}
