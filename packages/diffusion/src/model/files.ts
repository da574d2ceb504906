/** Reads a model's small files by their names in a diffusers folder, and remembers which were read. */
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { diffusionError } from "../errors.ts";

/** Where a file of a model is. Its name is part of the model's hash, its path is not. */
export type ModelFile = { name: string; path: string };

export type ModelFiles = {
  /** @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID */
  json(name: string): Promise<Record<string, unknown>>;
  /** @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID if it is too large to be one of these files. */
  text(name: string): Promise<string>;
  /** The names in a folder; none if there is no such folder. */
  list(folder: string): Promise<string[]>;
  pathOf(name: string): string;
  /** Counts a file as read. */
  add(name: string): void;
  /** Every file that was read, sorted by name. */
  read(): ModelFile[];
};

/** Configuration files are small; a larger one is not a configuration. */
const MAX_JSON_BYTES = 64_000_000;

/** @param pathOf Where the file of a name is. */
export function createModelFiles(pathOf: (name: string) => string): ModelFiles {
  const seen = new Set<string>();
  const text = async (name: string): Promise<string> => {
    seen.add(name);
    const missing = (cause?: unknown) => diffusionError("MODEL_FILE_MISSING", { file: name }, cause);
    const found = await stat(pathOf(name)).catch((cause) => Promise.reject(missing(cause)));
    if (!found.isFile()) throw missing();
    if (found.size > MAX_JSON_BYTES) {
      throw diffusionError("MODEL_CONFIG_INVALID", { file: name, bytes: found.size });
    }
    const bytes = await readFile(pathOf(name)).catch((cause) => Promise.reject(missing(cause)));
    return bytes.toString("utf8");
  };
  return {
    text,
    async json(name) {
      const content = await text(name);
      try {
        const value: unknown = JSON.parse(withStandardNumbers(content));
        if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as never;
        throw new TypeError("not an object");
      } catch (cause) {
        throw diffusionError("MODEL_CONFIG_INVALID", { file: name }, cause);
      }
    },
    list: (folder) => readdir(dirname(pathOf(join(folder, "any")))).catch(() => []),
    pathOf,
    add: (name) => seen.add(name),
    read: () => [...seen].toSorted().map((name) => ({ name, path: pathOf(name) })),
  };
}

/** Python writes infinities as bare words, and the configuration of DPM-Solver has one. */
function withStandardNumbers(json: string): string {
  const words: Record<string, string> = { Infinity: "1e999", "-Infinity": "-1e999", NaN: "null" };
  return json.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) => words[token] ?? token);
}
