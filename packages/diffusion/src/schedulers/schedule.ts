/**
 * What the schedulers share: how much noise there is at each training timestep, and which timesteps a run visits.
 * Numbers are rounded to single precision where the reference holds them in single precision.
 */

import { diffusionError } from "../errors.ts";
import { Fields } from "../model/fields.ts";
import type { NoiseStream } from "../noise.ts";

/** One run of one image: feed it the model's outputs in order. */
export type Scheduler = {
  /** What the model is told at each step; some schedulers take more than one step for each that was asked for. */
  readonly timesteps: readonly number[];
  /** What the initial normal noise is multiplied by. */
  readonly initialScale: number;
  /** What the latents are multiplied by before the model sees them at a step. */
  inputScale(step: number): number;
  /** The latents after a step. Steps must be taken once each, in order. */
  advance(output: Float32Array, latents: Float32Array, step: number): Float32Array;
};

export type SchedulerOptions = { fields: Fields; steps: number; noise: NoiseStream };

export type TrainingSchedule = {
  /** How many there are, as far as the spacing of a run's timesteps is concerned. */
  timesteps: number;
  /** Share of the signal in the variance at each training timestep, single precision. */
  alphas: Float32Array;
  /** Noise to signal at each training timestep, single precision. */
  sigmas: Float32Array;
};

/** What becomes of `rescale_betas_zero_snr`: the last timestep is all noise, nearly all noise, or it has no effect. */
export type ZeroSnr = "exact" | "nearly" | "ignored";

/**
 * Settings of a scheduler: the model's own, overridden by those of the request that are not null. The reference
 * takes any `steps_offset` that a model names for an outdated 1, and a `clip_sample` for a mistake.
 */
export function schedulerFields(
  model: Readonly<Record<string, unknown>>,
  request: Readonly<Record<string, unknown>> | null | undefined,
): Fields {
  const given = Object.entries(request ?? {}).filter(([, value]) => value !== null && value !== undefined);
  const own = {
    ...model,
    ...(model.steps_offset !== undefined && { steps_offset: 1 }),
    ...(model.clip_sample === true && { clip_sample: false }),
  };
  return new Fields(
    { ...own, ...Object.fromEntries(given) },
    {
      invalid: (facts) => diffusionError("ARGS_SCHEDULER_INVALID", facts),
      unsupported: (facts) => diffusionError("SCHEDULER_UNSUPPORTED", facts),
    },
  );
}

/** @see https://arxiv.org/abs/2006.11239 section 2; https://arxiv.org/abs/2305.08891 algorithm 1 for zero SNR */
export function trainingSchedule(fields: Fields, zeroSnr: ZeroSnr = "nearly"): TrainingSchedule {
  const timesteps = fields.count("num_train_timesteps", 1000);
  if (timesteps < 2 || timesteps > 100_000) throw fields.invalid("num_train_timesteps");
  let betas = trainingBetas(fields, timesteps);
  const rescale = zeroSnr !== "ignored" && fields.flag("rescale_betas_zero_snr", false);
  if (rescale) betas = rescaleToZeroSnr(betas);
  const alphas = cumulativeAlphas(betas);
  // The reference keeps the last one away from zero where the first sigma must stay finite.
  if (rescale && zeroSnr === "nearly") alphas[alphas.length - 1] = 2 ** -24;
  return {
    timesteps,
    alphas,
    sigmas: alphas.map((alpha) => Math.sqrt(Math.fround(Math.fround(1 - alpha) / alpha))),
  };
}

function trainingBetas(fields: Fields, count: number): Float32Array {
  const trained = fields.raw("trained_betas");
  if (trained !== undefined) {
    const isBetas =
      Array.isArray(trained) && trained.length > 1 && trained.every((beta) => beta > 0 && beta < 1);
    if (!isBetas) throw fields.invalid("trained_betas");
    return Float32Array.from(trained);
  }
  const start = fields.number("beta_start", 0.0001);
  const end = fields.number("beta_end", 0.02);
  const kind = fields.oneOf("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"], "linear");
  if (kind === "squaredcos_cap_v2") return cosineBetas(count);
  if (!(start > 0 && start < 1)) throw fields.invalid("beta_start");
  if (!(end > 0 && end < 1)) throw fields.invalid("beta_end");
  if (kind === "linear") return linspace32(start, end, count);
  return linspace32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
}

/** @see https://arxiv.org/abs/2102.09672 section 3.2 */
function cosineBetas(count: number): Float32Array {
  const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
  );
}

function rescaleToZeroSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeAlphas(betas).map(Math.sqrt);
  const first = roots[0]!;
  const last = roots.at(-1)!;
  const scale = Math.fround(first / Math.fround(first - last));
  const bars = roots.map((root) => Math.fround(root - last) * scale).map((root) => root * root);
  return bars.map((bar, i) => 1 - (i === 0 ? bar : Math.fround(bar / bars[i - 1]!)));
}

function cumulativeAlphas(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= Math.fround(1 - beta);
    return product;
  });
}

function linspace32(start: number, end: number, count: number): Float32Array {
  const from = Math.fround(start);
  const to = Math.fround(end);
  const step = Math.fround(Math.fround(to - from) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < count / 2 ? from + step * i : to - step * (count - 1 - i),
  );
}

/** Evenly spaced numbers, both ends included. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => (i === count - 1 && count > 1 ? end : start + i * step));
}

/** From `from` down to above 0 in steps of `by`, as numpy counts them: rounding may yield one more than expected. */
export function countDown(from: number, by: number): number[] {
  return Array.from({ length: Math.ceil(from / by) }, (_, i) => from - i * by);
}

/** To the nearest whole number; halves to the even one. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The value of a table at a fractional index, clamped to its ends. */
export function interpolate(table: ArrayLike<number>, index: number): number {
  const last = table.length - 1;
  if (index <= 0) return table[0]!;
  if (index >= last) return table[last]!;
  const low = Math.floor(index);
  return table[low]! + (index - low) * (table[low + 1]! - table[low]!);
}

export function parseSpacing(fields: Fields): "linspace" | "leading" | "trailing" {
  const spacing = fields.raw("timestep_spacing") ?? "linspace";
  if (spacing !== "linspace" && spacing !== "leading" && spacing !== "trailing") {
    throw fields.invalid("timestep_spacing");
  }
  return spacing;
}

/** Timesteps from high to low that begin at or near the last one; those of `linspace` are not whole numbers. */
export function spacedTimesteps(fields: Fields, steps: number, all: number): number[] {
  switch (parseSpacing(fields)) {
    case "linspace":
      return linspace(0, all - 1, steps).toReversed();
    case "leading": {
      const ratio = Math.floor(all / steps);
      const offset = fields.whole("steps_offset", 0);
      return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio + offset);
    }
    case "trailing":
      return countDown(all, all / steps).map((t) => roundHalfEven(t) - 1);
  }
}

/** `spacedTimesteps` as whole numbers within the table of training timesteps. */
export function wholeTimesteps(
  fields: Fields,
  steps: number,
  { alphas, timesteps }: TrainingSchedule,
): number[] {
  const visited = spacedTimesteps(fields, steps, timesteps)
    .map(roundHalfEven)
    .filter((t) => t >= 0);
  if (visited[0]! >= alphas.length) throw fields.invalid("steps_offset");
  return visited;
}
