/** Noise levels chosen by a curve instead of by timestep, and the way back from a level to its timestep. */
import type { Fields } from "../model/fields.ts";
import { linspace } from "./schedule.ts";

/** @see https://arxiv.org/abs/2206.00364 equation 5 */
export function karrasSigmas(highest: number, lowest: number, steps: number): number[] {
  const rho = 7;
  return ramp(highest ** (1 / rho), lowest ** (1 / rho), steps).map((root) => root ** rho);
}

/** Evenly spaced logarithms. */
export function exponentialSigmas(highest: number, lowest: number, steps: number): number[] {
  return ramp(Math.log(highest), Math.log(lowest), steps).map(Math.exp);
}

function ramp(from: number, to: number, steps: number): number[] {
  return linspace(0, 1, steps).map((t) => from + t * (to - from));
}

/** The fractional training timestep at which the noise has this level, given the logarithms of the levels. */
export function timestepOf(sigma: number, logs: Float32Array): number {
  const log = Math.log(Math.max(sigma, 1e-10));
  const low = Math.min(
    Math.max(
      logs.findLastIndex((candidate) => log >= candidate),
      0,
    ),
    logs.length - 2,
  );
  const share = (logs[low]! - log) / (logs[low]! - logs[low + 1]!);
  return low + Math.min(Math.max(share, 0), 1);
}

export type Curve = (highest: number, lowest: number, steps: number) => number[];

/** The curve that the settings ask for, if any. Only one may be asked for. */
export function parseCurve(fields: Fields): Curve | undefined {
  fields.only("use_beta_sigmas", false);
  const karras = fields.flag("use_karras_sigmas", false);
  const exponential = fields.flag("use_exponential_sigmas", false);
  if (karras && exponential) throw fields.invalid("use_exponential_sigmas");
  if (karras) return karrasSigmas;
  return exponential ? exponentialSigmas : undefined;
}

/** Where a curve begins and ends: as the settings say, otherwise at the levels given. */
export function curveEnds(
  fields: Fields,
  highest: number,
  lowest: number,
): [highest: number, lowest: number] {
  const ends = [fields.number("sigma_max", highest), fields.number("sigma_min", lowest)] as const;
  if (!(ends[1] > 0)) throw fields.invalid("sigma_min");
  if (!(ends[0] >= ends[1] && ends[0] < Number.POSITIVE_INFINITY)) throw fields.invalid("sigma_max");
  return [...ends];
}

export function parseFinalSigma(fields: Fields): "zero" | "sigma_min" {
  const final = fields.raw("final_sigmas_type") ?? "zero";
  if (final !== "zero" && final !== "sigma_min") throw fields.invalid("final_sigmas_type");
  return final;
}
