/** Stable Diffusion inside the engine process: one model stays loaded between tasks. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DiffusionPipeline, encodePng, type GenerateRequest, loadPipeline } from "@hydrogen/diffusion";
import { resolveModel } from "@hydrogen/models";
import { imagesResult, keccak256 } from "@hydrogen/protocol";
import { bytesToHex } from "@hydrogen/std";
import type { SdTaskArgs } from "@hydrogen/tasks";
import type { EngineResult, RunSettings } from "./messages.ts";

export type RunnerHooks = {
  signal: AbortSignal;
  onProgress: (stage: "loading" | "running" | "encoding", step: number, steps: number) => void;
};

export type SdRunner = {
  /** Makes the model the one that is loaded; returns its fingerprint. */
  load(model: string, settings: RunSettings, hooks: RunnerHooks): Promise<string>;
  /** Writes `0.png`, `1.png`, … into the directory. */
  run(args: unknown, outputDir: string, settings: RunSettings, hooks: RunnerHooks): Promise<EngineResult>;
};

export function createSdRunner(): SdRunner {
  let loaded: { key: string; pipeline: DiffusionPipeline } | undefined;

  const pipelineFor = async (
    model: SdTaskArgs["base_model"],
    settings: RunSettings,
    hooks: RunnerHooks,
  ): Promise<DiffusionPipeline> => {
    const key = JSON.stringify([model.name.toLowerCase(), model.variant, settings]);
    if (loaded?.key === key) return loaded.pipeline;
    hooks.onProgress("loading", 0, 1);
    const { dir } = await resolveModel(model, { modelsDirs: settings.modelsDirs, signal: hooks.signal });
    // One model at a time: two may not fit.
    await loaded?.pipeline.close();
    loaded = undefined;
    const pipeline = await loadPipeline(dir, {
      threads: settings.threads === 0 ? "auto" : settings.threads,
      cacheDir: settings.cacheDir,
      signal: hooks.signal,
    });
    loaded = { key, pipeline };
    hooks.onProgress("loading", 1, 1);
    return pipeline;
  };

  return {
    load: async (model, settings, hooks) =>
      (await pipelineFor({ name: model, variant: null }, settings, hooks)).fingerprint,
    run: async (input, outputDir, settings, hooks) => {
      const args = input as SdTaskArgs;
      const pipeline = await pipelineFor(args.base_model, settings, hooks);
      const { images } = await pipeline.generate(requestOf(args), {
        signal: hooks.signal,
        onStep: ({ step, steps }) => hooks.onProgress("running", step, steps),
      });
      const pngs = images.map(encodePng);
      const files = await Promise.all(
        pngs.map(async (png, index) => {
          const name = `${index}.png`;
          await writeFile(join(outputDir, name), png);
          return { name, keccak256: keccak256(png) };
        }),
      );
      return { result: bytesToHex(imagesResult(pngs)), files, fingerprint: pipeline.fingerprint };
    },
  };
}

function requestOf({ prompt, negative_prompt, task_config, scheduler }: SdTaskArgs): GenerateRequest {
  return {
    prompt,
    negativePrompt: negative_prompt,
    widthPx: task_config.image_width,
    heightPx: task_config.image_height,
    steps: task_config.steps,
    cfg: task_config.cfg,
    seed: task_config.seed,
    numImages: task_config.num_images,
    // Another method has been refused before: the task would be unsupported.
    scheduler: scheduler as GenerateRequest["scheduler"],
  };
}
