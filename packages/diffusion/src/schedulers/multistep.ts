/** What the multistep solvers of the diffusion's differential equation share: noise levels, and where a run visits them. */
import type { Fields } from "../model/fields.ts";
import { countDown, linspace, parseSpacing, roundHalfEven } from "./schedule.ts";

/** Signal, noise and log signal-to-noise at one noise level. */
export type Level = { alpha: number; sigma: number; lambda: number };

/** Whole timesteps from high to low, the lowest one left out; those beyond `end` are not visited. */
export function multistepTimesteps(fields: Fields, steps: number, all: number, end = all): number[] {
  switch (parseSpacing(fields)) {
    case "linspace":
      return linspace(0, end - 1, steps + 1)
        .slice(1)
        .map(roundHalfEven)
        .toReversed();
    case "leading": {
      const ratio = Math.floor(end / (steps + 1));
      const offset = fields.whole("steps_offset", 0);
      return Array.from({ length: steps }, (_, i) => (steps - i) * ratio + offset);
    }
    case "trailing":
      return countDown(end, all / steps).map((t) => roundHalfEven(t) - 1);
  }
}

/** @param ratios Noise to signal, single precision. */
export function levelsOf(ratios: Float32Array): Level[] {
  return Array.from(ratios, (ratio) => {
    const alpha = 1 / Math.sqrt(ratio ** 2 + 1);
    return { alpha, sigma: ratio * alpha, lambda: -Math.log(ratio) };
  });
}
