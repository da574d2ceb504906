/** What a fetched model is, as far as its files say: its kind, and the settings that suit it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ModelDefaults } from "./manifest.ts";
import { readTensorNames } from "./safetensors-check.ts";

const large = { widthPx: 1024, heightPx: 1024, steps: 30, cfg: 5 };
const small = { widthPx: 512, heightPx: 512, steps: 25, cfg: 7 };

/** The settings are guesses from the configuration; a client may always say otherwise. */
export async function describeModel(
  dir: string,
  paths: readonly string[],
): Promise<{ kind: "pipeline" | "checkpoint" | "part"; defaults: ModelDefaults }> {
  const json = async (path: string): Promise<Record<string, unknown>> => {
    if (!paths.includes(path)) return {};
    try {
      const value: unknown = JSON.parse(await readFile(join(dir, path), "utf8"));
      return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
    } catch {
      return {};
    }
  };
  const { _class_name: pipeline } = await json("model_index.json");
  const { _class_name: scheduler } = await json("scheduler/scheduler_config.json");
  const { sample_size: latentSize } = await json("unet/config.json");
  const [only] = paths;
  const names = paths.length === 1 && only !== undefined ? await readTensorNames(join(dir, only)) : undefined;
  const isLarge =
    (typeof pipeline === "string" && /XL/.test(pipeline)) ||
    (names?.some((name) => name.startsWith("conditioner.embedders.")) ?? false);
  const isCheckpoint = names?.some((name) => name.startsWith("model.diffusion_model.")) ?? false;
  const kind = paths.includes("model_index.json") ? "pipeline" : isCheckpoint ? "checkpoint" : "part";
  const sidePx = typeof latentSize === "number" ? latentSize * 8 : undefined;
  const size =
    sidePx !== undefined && sidePx >= 64 && sidePx <= 4096 ? { widthPx: sidePx, heightPx: sidePx } : {};
  const base = { ...(isLarge ? large : small), ...size };
  if (scheduler === "LCMScheduler") return { kind, defaults: { ...base, scheduler, steps: 4, cfg: 1.5 } };
  if (scheduler === "EulerAncestralDiscreteScheduler") return { kind, defaults: { ...base, scheduler } };
  return { kind, defaults: { ...base, scheduler: "DPMSolverMultistepScheduler" } };
}
