/**
 * How much VRAM a task needs, roughly: enough to keep it away from nodes that surely cannot run it.
 *
 * weights × bytes per weight, once again a tenth for what the runtime keeps beside them, the activations of the largest
 * step (in proportion to the pixels; a refiner or ControlNet adds weights, not pixels), half a GB for the runtime itself.
 */
import { taskError } from "./errors.ts";
import { type ModelFamily, modelFamily } from "./model-family.ts";
import type { SdTaskArgs } from "./sd-schema.ts";

/** Sizes, in GB, that a node may declare (`VramClasses` in the contracts), ascending. */
export const vramClassesGb: readonly number[] = [
  4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 141, 192,
];

/** Millions of weights of text encoders, UNet and VAE together, and of a ControlNet. */
const weightsM: Readonly<Record<ModelFamily, { base: number; controlnet: number }>> = {
  hydrogen: { base: 12, controlnet: 12 },
  sd1: { base: 1_070, controlnet: 361 },
  sd2: { base: 1_290, controlnet: 364 },
  sdxl: { base: 3_470, controlnet: 1_250 },
};
const refinerWeightsM = 2_340;

/** Bytes of activations for each pixel of the image, in 32-bit floats: the VAE decoder's widest layers. */
const activationBytesPerPixel = 4_500;

/**
 * The estimate in GB (10^9 bytes), not rounded to a class.
 * A model whose name says nothing counts as SD 1.x.
 */
export function estimateVramGb(args: SdTaskArgs): number {
  const family = modelFamily(args.base_model.name) ?? "sd1";
  const half = args.dtype === "float16" || args.dtype === "bfloat16" || args.base_model.variant === "fp16";
  const bytesPerValue = half ? 2 : 4;
  const weights = weightsM[family];
  const totalM =
    weights.base + (args.controlnet ? weights.controlnet : 0) + (args.refiner ? refinerWeightsM : 0);
  const pixels = args.task_config.image_width * args.task_config.image_height;
  const weightsGb = (totalM * 1e6 * bytesPerValue * 1.1) / 1e9;
  const activationsGb = (pixels * activationBytesPerPixel * (bytesPerValue / 4)) / 1e9;
  return weightsGb + activationsGb + 0.5;
}

/**
 * The `vramLimit` for `createTask`: the smallest class, in GB, that holds the estimate.
 * @param classesGb Default: the contracts' own.
 * @throws VRAM_EXCEEDED if no class is large enough
 */
export function vramLimitGb(args: SdTaskArgs, classesGb: readonly number[] = vramClassesGb): number {
  const neededGb = estimateVramGb(args);
  const limit = classesGb.toSorted((a, b) => a - b).find((sizeGb) => sizeGb >= neededGb);
  if (limit === undefined) {
    throw taskError("VRAM_EXCEEDED", { neededGb: Math.ceil(neededGb), largestGb: Math.max(...classesGb) });
  }
  return limit;
}
