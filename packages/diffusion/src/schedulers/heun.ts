import { cleanLatentsAt, parseClipSample, parsePrediction } from "./prediction.ts";
import {
  interpolate,
  parseSpacing,
  type Scheduler,
  type SchedulerOptions,
  spacedTimesteps,
  trainingSchedule,
} from "./schedule.ts";
import { curveEnds, parseCurve, timestepOf } from "./sigmas.ts";

/**
 * Heun's method: each step but the last is an Euler step, corrected by the slope at its end. The model is asked
 * twice for each step but the last.
 *
 * @see https://arxiv.org/abs/2206.00364 algorithm 1
 */
export function createHeun({ fields: given, steps }: SchedulerOptions): Scheduler {
  const fields = given.withDefaults({ beta_start: 0.00085, beta_end: 0.012 });
  const prediction = parsePrediction(fields);
  const clip = parseClipSample(fields, false);
  const { sigmas: table, timesteps: all } = trainingSchedule(fields, "ignored");
  const curve = parseCurve(fields);

  let visited = spacedTimesteps(fields, steps, all).map(Math.fround);
  let levels = visited.map((t) => interpolate(table, t));
  if (curve !== undefined) {
    const logs = table.map(Math.log);
    levels = curve(...curveEnds(fields, levels[0]!, levels.at(-1)!), steps);
    visited = levels.map((sigma) => timestepOf(sigma, logs));
  }
  // The first level once, every other once as the end of a step and once as the beginning of the next.
  const twice = (values: readonly number[]) =>
    values.flatMap((value, i) => (i === 0 ? value : [value, value]));
  const sigmas = Float32Array.of(...twice(levels), 0);
  const highest = Math.max(...sigmas);
  let begun: { latents: Float32Array; slope: Float32Array } | undefined;

  return {
    timesteps: twice(visited).map(Math.fround),
    initialScale: parseSpacing(fields) === "leading" ? Math.sqrt(highest ** 2 + 1) : highest,
    inputScale: (step) => 1 / Math.sqrt(sigmas[step]! ** 2 + 1),
    advance(output, latents, step) {
      const sigma = sigmas[step]!;
      const believed = cleanLatentsAt(sigma, prediction, output, latents);
      const clean = clip?.(believed) ?? believed;
      const slope = latents.map((latent, i) => (latent - clean[i]!) / sigma);
      if (begun === undefined) {
        const by = sigmas[step + 1]! - sigma;
        begun = { latents, slope };
        return latents.map((latent, i) => latent + slope[i]! * by);
      }
      const { latents: from, slope: first } = begun;
      const by = sigma - sigmas[step - 1]!;
      begun = undefined;
      return from.map((latent, i) => latent + ((first[i]! + slope[i]!) / 2) * by);
    },
  };
}
