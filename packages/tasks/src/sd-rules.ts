/** What must hold between the fields of an SD task: all of it would only fail in the engine, after the fee was paid. */
import { modelFamily } from "./model-family.ts";
import { lcmOriginalSteps } from "./schedulers.ts";
import type { SdTaskArgs } from "./sd-schema.ts";

export type BrokenRule = { path: string; message: string };

/** @returns The first rule that the args break, if any. */
export function findBrokenRule(args: SdTaskArgs): BrokenRule | undefined {
  return (
    controlnetHasImage(args) ??
    refinerFitsBase(args) ??
    cannyThresholdsAreOrdered(args) ??
    lcmHasEnoughSteps(args)
  );
}

function controlnetHasImage({ controlnet }: SdTaskArgs): BrokenRule | undefined {
  if (controlnet === null) return undefined;
  const base64 = controlnet.image_dataurl.replace(/^data:image\/[a-z0-9.+-]+;base64,/i, "");
  const valid = base64.length > 0 && base64.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(base64);
  return valid
    ? undefined
    : { path: "controlnet.image_dataurl", message: "a ControlNet needs an image in Base64" };
}

function refinerFitsBase({ refiner, base_model }: SdTaskArgs): BrokenRule | undefined {
  const family = modelFamily(base_model.name);
  if (refiner === null || family === undefined || family === "sdxl") return undefined;
  return { path: "refiner", message: "a refiner needs an SDXL base model" };
}

function cannyThresholdsAreOrdered({ controlnet }: SdTaskArgs): BrokenRule | undefined {
  const method = controlnet?.preprocess;
  if (method?.method !== "canny" || method.args === null) return undefined;
  if (method.args.low_threshold <= method.args.high_threshold) return undefined;
  return { path: "controlnet.preprocess.args.low_threshold", message: "must not exceed high_threshold" };
}

function lcmHasEnoughSteps({ scheduler, task_config }: SdTaskArgs): BrokenRule | undefined {
  if (scheduler.method !== "LCMScheduler") return undefined;
  const original = scheduler.args?.original_inference_steps ?? lcmOriginalSteps;
  if (task_config.steps <= original) return undefined;
  return { path: "task_config.steps", message: `LCM takes at most original_inference_steps (${original})` };
}
