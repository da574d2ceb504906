/** Finding models by name in directories of model folders. */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { modelError } from "./errors.ts";
import { verifyFiles } from "./files.ts";
import { isMissing, type ModelManifest, readManifest } from "./manifest.ts";

export type Model = ModelManifest & {
  /** Absolute. */
  dir: string;
};

export type ModelOptions = {
  /** Searched in order; each is a directory of model folders. One that does not exist is skipped. */
  modelsDirs: readonly string[];
  signal?: AbortSignal;
};

/**
 * Every model with a manifest, by id; of two with the same id, the one found first. Files are not verified.
 * @throws MODEL_MANIFEST_INVALID
 */
export async function listModels({ modelsDirs, signal }: ModelOptions): Promise<Model[]> {
  const models = new Map<string, Model>();
  for (const modelsDir of modelsDirs) {
    for (const dir of await foldersIn(resolve(modelsDir))) {
      signal?.throwIfAborted();
      const manifest = await readManifest(dir);
      if (manifest && !models.has(manifest.id)) models.set(manifest.id, { ...manifest, dir });
    }
  }
  return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * The model that a task's `base_model` names, with every file checked against its SHA-256.
 * @param ref Its id, of any case, or `{ name, variant }`. The models that ship have one variant; the field is ignored.
 * @throws MODEL_UNKNOWN with the `known` ids; MODEL_DAMAGED; MODEL_MANIFEST_INVALID; the signal's reason
 * @example const { dir, defaults } = await resolveModel(args.base_model, { modelsDirs: ["models"] });
 */
export async function resolveModel(
  ref: string | { name: string; variant?: string | null },
  options: ModelOptions,
): Promise<Model> {
  const name = typeof ref === "string" ? ref : ref.name;
  const models = await listModels(options);
  const model = models.find(({ id }) => id === name.toLowerCase());
  if (!model) {
    const known = models.map(({ id }) => id).join(", ");
    throw modelError("MODEL_UNKNOWN", { model: name.slice(0, 200), known: known || "none" });
  }
  await verifyFiles(model.dir, model, options.signal);
  return model;
}

async function foldersIn(modelsDir: string): Promise<string[]> {
  try {
    const entries = await readdir(modelsDir, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink());
    return folders.map((entry) => join(modelsDir, entry.name)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
