/**
 * Writes a model folder's hydrogen.json: hashes every file in the folder.
 *
 * node packages/models/src/write-manifest.ts models/hydrogen-emoji-64 --id hydrogen-network/emoji-64 \
 *   --title "Hydrogen Emoji 64" --licence Apache-2.0 --size 64x64 --steps 20 --cfg 5 --scheduler EulerAncestralDiscreteScheduler
 *
 * Run again on a folder that has one, it keeps what is not given and hashes anew. With --check it writes nothing and
 * fails if a file differs from the manifest or is not in it.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { errorSummary } from "@hydrogen/std";
import { modelError } from "./errors.ts";
import { hashFolder } from "./files.ts";
import { type ModelManifest, manifestSchema, readManifest, saveManifest } from "./manifest.ts";

/**
 * Hashes the folder and writes its manifest.
 * @param changes Overrides of what the manifest says already; all fields are needed where there is none.
 * @throws MODEL_MANIFEST_INVALID
 */
export async function writeManifest(
  dir: string,
  changes: Partial<Omit<ModelManifest, "files" | "defaults">> & {
    defaults?: Partial<ModelManifest["defaults"]>;
  },
): Promise<ModelManifest> {
  const before = await readManifest(dir);
  const { defaults, ...rest } = changes;
  const parsed = manifestSchema.safeParse({
    ...before,
    ...rest,
    defaults: { ...before?.defaults, ...defaults },
    files: await hashFolder(dir),
  });
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw modelError("MODEL_MANIFEST_INVALID", { dir, field: issue.path.join("."), reason: issue.message });
  }
  await saveManifest(dir, parsed.data);
  return parsed.data;
}

/** @throws MODEL_MANIFEST_INVALID if there is none; MODEL_DAMAGED if a file differs, is missing or is not named. */
export async function checkManifest(dir: string): Promise<ModelManifest> {
  const manifest = await readManifest(dir);
  if (!manifest) throw modelError("MODEL_MANIFEST_INVALID", { dir, reason: "missing" });
  const files = await hashFolder(dir);
  for (const path of new Set([...Object.keys(files), ...Object.keys(manifest.files)])) {
    if (files[path] === manifest.files[path]) continue;
    throw modelError("MODEL_DAMAGED", {
      model: manifest.id,
      path,
      expected: manifest.files[path] ?? "no such file",
      actual: files[path] ?? "missing",
    });
  }
  return manifest;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      check: { type: "boolean" },
      id: { type: "string" },
      title: { type: "string" },
      licence: { type: "string" },
      size: { type: "string" },
      steps: { type: "string" },
      cfg: { type: "string" },
      scheduler: { type: "string" },
    },
  });
  const { check, size, steps, cfg, scheduler, ...named } = values;
  const [widthPx, heightPx] = size?.split("x").map(Number) ?? [];
  const defaults = dropUndefined({
    widthPx,
    heightPx,
    steps: steps === undefined ? undefined : Number(steps),
    cfg: cfg === undefined ? undefined : Number(cfg),
    scheduler,
  }) as Partial<ModelManifest["defaults"]>;
  try {
    const dir = resolve(positionals[0] ?? ".");
    const manifest = check
      ? await checkManifest(dir)
      : await writeManifest(dir, { ...dropUndefined(named), defaults });
    console.log(`${manifest.id}: ${Object.keys(manifest.files).length} files`);
  } catch (error) {
    console.error(errorSummary(error));
    process.exitCode = 1;
  }
}

function dropUndefined<Value extends object>(
  value: Value,
): { [Key in keyof Value]?: NonNullable<Value[Key]> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}
