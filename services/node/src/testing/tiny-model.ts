/** For tests: a checkpoint with random weights that runs in milliseconds, as a model folder. */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeManifest } from "@hydrogen/models";
import { sdTaskArgsFor } from "@hydrogen/tasks";

const checkpoint = fileURLToPath(
  new URL("../../../../test-vectors/diffusion/classic-kl-fp16", import.meta.url),
);

export const tinyModel = {
  id: "test/tiny",
  title: "Tiny",
  licence: "Apache-2.0",
  defaults: { widthPx: 64, heightPx: 64, steps: 2, cfg: 5, scheduler: "EulerAncestralDiscreteScheduler" },
} as const;

/** Puts the model into a directory of model folders. */
export async function installTinyModel(modelsDir: string): Promise<void> {
  const dir = join(modelsDir, "tiny");
  mkdirSync(modelsDir, { recursive: true });
  cpSync(checkpoint, dir, { recursive: true, filter: (path) => !path.includes("golden.") });
  await writeManifest(dir, tinyModel);
}

/** Task args for it, as text. */
export function tinyArgs(
  options: { prompt?: string; seed?: number; steps?: number; sidePx?: number; model?: string } = {},
): string {
  const { prompt = "a red apple", seed = 7, steps = 2, sidePx = 64, model = tinyModel.id } = options;
  const { cfg, scheduler } = tinyModel.defaults;
  return sdTaskArgsFor({ model, prompt, seed, steps, widthPx: sidePx, heightPx: sidePx, cfg, scheduler })
    .text;
}
