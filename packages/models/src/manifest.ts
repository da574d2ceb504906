/**
 * `hydrogen.json`: what a model folder holds. It names every file with its SHA-256, so that a node runs exactly the
 * weights that everybody else runs, and the settings that suit the model, so that a client need not guess them.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isHydrogenError } from "@hydrogen/std";
import { z } from "zod";
import { modelError } from "./errors.ts";

export const manifestName = "hydrogen.json";

/** A relative path with forward slashes that stays inside the folder. */
export const insidePath = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._+-]*(\/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$/, "must be a plain relative path");

export const modelId = z
  .string()
  .max(200)
  .regex(/^[a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*$/, "must be owner/name in lower case");

export const manifestSchema = z.strictObject({
  /** `owner/name`, lower case: what `base_model` in the task args says. */
  id: modelId,
  title: z.string().min(1).max(200),
  /** SPDX expression. */
  licence: z.string().min(1).max(200),
  defaults: z.strictObject({
    widthPx: z.int().min(8).max(4096).multipleOf(8),
    heightPx: z.int().min(8).max(4096).multipleOf(8),
    steps: z.int().min(1).max(100),
    cfg: z.number().min(0).max(20),
    scheduler: z.enum(["EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "LCMScheduler"]),
  }),
  /** Path in the folder → SHA-256, 64 lower-case hexadecimal digits. */
  files: z
    .record(insidePath, z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256"))
    .refine((files) => Object.keys(files).length > 0, "must name at least one file"),
  /** A diffusers folder, a checkpoint in one file, or a part of one (LoRA, VAE, ControlNet, embedding); default pipeline. */
  kind: z.enum(["pipeline", "checkpoint", "part"]).optional(),
  /** Where the model store got it; models that ship have none. */
  source: z
    .strictObject({
      /** The repository as it was asked for, or the address without its secrets. */
      from: z.string().max(2_000),
      /** Branch, tag or commit that was asked for, and the commit it meant then. */
      revision: z.string().max(100).nullable(),
      commit: z.string().max(100).nullable(),
      variant: z.string().max(32).nullable(),
      file: z.string().max(500).nullable(),
      /** ISO 8601, UTC. */
      pulledAt: z.iso.datetime(),
    })
    .optional(),
});

export type ModelManifest = z.output<typeof manifestSchema>;
export type ModelDefaults = ModelManifest["defaults"];

/**
 * @returns undefined if the folder has no manifest.
 * @throws MODEL_MANIFEST_INVALID
 */
export async function readManifest(dir: string): Promise<ModelManifest | undefined> {
  const path = join(dir, manifestName);
  try {
    const parsed = manifestSchema.safeParse(JSON.parse(await readFile(path, "utf8")));
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    throw modelError("MODEL_MANIFEST_INVALID", { path, field: issue.path.join("."), reason: issue.message });
  } catch (error) {
    if (isHydrogenError(error)) throw error;
    if (isMissing(error)) return undefined;
    throw modelError("MODEL_MANIFEST_INVALID", { path }, error);
  }
}

/** Whatever happens meanwhile, the folder has its manifest of before or the new one. */
export async function saveManifest(dir: string, manifest: ModelManifest): Promise<void> {
  const path = join(dir, manifestName);
  await writeFile(`${path}.new`, `${JSON.stringify(manifest, null, 2)}\n`, { flush: true });
  await rename(`${path}.new`, path);
}

/** Whether a file-system call failed because there is nothing at that path. */
export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOENT" || code === "ENOTDIR";
}
