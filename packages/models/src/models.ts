/** Finding models by name in directories of model folders. */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isHydrogenError } from "@hydrogen/std";
import { modelError } from "./errors.ts";
import { verifyFiles } from "./files.ts";
import { isMissing, type ModelManifest, readManifest } from "./manifest.ts";
import { isOf, type ModelRef, type ParsedRef, parseRef, withoutSecrets } from "./ref.ts";

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
 * Every model with a manifest that can be a task's base model, by id; of two with the same id, the one found first.
 * Files are not verified.
 * @throws MODEL_MANIFEST_INVALID
 */
export async function listModels({ modelsDirs, signal }: ModelOptions): Promise<Model[]> {
  const models = new Map<string, Model>();
  for (const model of await allModels({ modelsDirs, ...(signal ? { signal } : {}) }))
    if (model.kind !== "part" && !models.has(model.id)) models.set(model.id, model);
  return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** With every variant and revision of each. */
async function allModels({ modelsDirs, signal }: ModelOptions): Promise<Model[]> {
  const models: Model[] = [];
  for (const modelsDir of modelsDirs) {
    for (const dir of await foldersIn(resolve(modelsDir))) {
      signal?.throwIfAborted();
      const manifest = await readManifest(dir);
      if (manifest) models.push({ ...manifest, dir });
    }
  }
  return models;
}

/**
 * The model that a task's `base_model` names, with every file checked against its SHA-256.
 * @param ref Its id, of any case, or the reference that the model store fetched it by. Models that ship have one form;
 * of those in the store, the variant, revision and file are the ones asked for.
 * @throws MODEL_UNKNOWN with the `known` ids; MODEL_DAMAGED; MODEL_MANIFEST_INVALID; the signal's reason
 * @example const { dir, defaults } = await resolveModel(args.base_model, { modelsDirs: ["models"] });
 */
export async function resolveModel(ref: ModelRef, options: ModelOptions): Promise<Model> {
  const models = await allModels(options);
  const parsed = tryParse(ref);
  const model = parsed && models.find((model) => isOf(parsed, model));
  if (!model) {
    const known = [...new Set(models.map(({ id }) => id))].sort().join(", ");
    const name = typeof ref === "string" ? ref : ref.name;
    throw modelError("MODEL_UNKNOWN", { model: withoutSecrets(name), known: known || "none" });
  }
  await verifyFiles(model.dir, model, options.signal);
  return model;
}

function tryParse(ref: ModelRef): ParsedRef | undefined {
  try {
    return parseRef(ref);
  } catch (error) {
    if (isHydrogenError(error)) return undefined;
    throw error;
  }
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
