/** From what a model puts out to the clean latents or the noise that it believes to be in its input. */
import type { Fields } from "../model/fields.ts";
import { interpolate } from "./schedule.ts";

export const PREDICTIONS = ["epsilon", "v_prediction", "sample"] as const;
export type Prediction = (typeof PREDICTIONS)[number];

/** Noisy latents are `alpha` times the clean ones and `sigma` times noise; the squares add up to one. */
export type Mix = { alpha: number; sigma: number };

export function parsePrediction(fields: Fields): Prediction {
  return fields.oneOf("prediction_type", PREDICTIONS, "epsilon");
}

/** @see https://arxiv.org/abs/2202.00512 section 4 for v */
export function cleanLatents(
  prediction: Prediction,
  output: Float32Array,
  latents: Float32Array,
  { alpha, sigma }: Mix,
): Float32Array {
  if (prediction === "sample") return output;
  if (prediction === "epsilon") return output.map((out, i) => (latents[i]! - sigma * out) / alpha);
  return output.map((out, i) => alpha * latents[i]! - sigma * out);
}

export function noiseIn(
  prediction: Prediction,
  output: Float32Array,
  latents: Float32Array,
  { alpha, sigma }: Mix,
): Float32Array {
  if (prediction === "epsilon") return output;
  if (prediction === "v_prediction") return output.map((out, i) => alpha * out + sigma * latents[i]!);
  return output.map((out, i) => (latents[i]! - alpha * out) / sigma);
}

/** For latents that are the clean ones plus `sigma` times noise, as those who step from sigma to sigma keep them. */
export function cleanLatentsAt(
  sigma: number,
  prediction: Prediction,
  output: Float32Array,
  latents: Float32Array,
): Float32Array {
  if (prediction === "sample") return output;
  if (prediction === "epsilon") return output.map((out, i) => latents[i]! - sigma * out);
  const variance = sigma ** 2 + 1;
  return output.map((out, i) => (out * -sigma) / Math.sqrt(variance) + latents[i]! / variance);
}

export type Clip = (clean: Float32Array) => Float32Array;

/** What `thresholding` asks for. */
export function parseThresholding(fields: Fields): Clip | undefined {
  if (!fields.flag("thresholding", false)) return undefined;
  const ratio = fields.number("dynamic_thresholding_ratio", 0.995);
  const maximum = fields.number("sample_max_value", 1);
  return (clean) => clipDynamically(clean, ratio, maximum);
}

/** What `clip_sample` asks for. */
export function parseClipSample(fields: Fields, fallback: boolean): Clip | undefined {
  if (!fields.flag("clip_sample", fallback)) return undefined;
  const limit = fields.number("clip_sample_range", 1);
  return (clean) => clean.map((value) => Math.min(Math.max(value, -limit), limit));
}

/** @see https://arxiv.org/abs/2205.11487 section 2.3 */
function clipDynamically(values: Float32Array, ratio: number, maximum: number): Float32Array {
  const sorted = values.map(Math.abs).sort();
  const quantile = interpolate(sorted, ratio * (sorted.length - 1));
  const limit = Math.min(Math.max(quantile, 1), maximum);
  return values.map((value) => Math.min(Math.max(value, -limit), limit) / limit);
}
