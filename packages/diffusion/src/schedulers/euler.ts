import { cleanLatentsAt } from "./prediction.ts";
import {
  interpolate,
  linspace,
  parseSpacing,
  type Scheduler,
  type SchedulerOptions,
  spacedTimesteps,
  trainingSchedule,
} from "./schedule.ts";
import { curveEnds, parseCurve, parseFinalSigma, timestepOf } from "./sigmas.ts";

/**
 * Euler's method from one noise level to the next.
 *
 * @see https://arxiv.org/abs/2206.00364 algorithm 2, without its churn
 */
export function createEuler({ fields, steps }: SchedulerOptions): Scheduler {
  const predictions = ["epsilon", "v_prediction", "sample", "original_sample"] as const;
  const named = fields.oneOf("prediction_type", predictions, "epsilon");
  const prediction = named === "original_sample" ? "sample" : named;
  const { sigmas: table, timesteps: all } = trainingSchedule(fields);
  const logs = table.map(Math.log);
  const curve = parseCurve(fields);

  let timesteps = spacedTimesteps(fields, steps, all);
  let levels = timesteps.map((t) => interpolate(table, t));
  if (fields.oneOf("interpolation_type", ["linear", "log_linear"], "linear") === "log_linear") {
    levels = linspace(logs.at(-1)!, logs[0]!, steps + 1).map(Math.exp);
  }
  if (curve !== undefined) {
    levels = curve(...curveEnds(fields, levels[0]!, levels.at(-1)!), steps);
    timesteps = levels.map((sigma) => timestepOf(sigma, logs));
  }
  const sigmas = Float32Array.of(...levels, parseFinalSigma(fields) === "zero" ? 0 : table[0]!);
  const continuous = fields.oneOf("timestep_type", ["discrete", "continuous"], "discrete") === "continuous";
  if (continuous && prediction === "v_prediction") {
    timesteps = Array.from(sigmas.subarray(0, -1), (sigma) => 0.25 * Math.log(sigma));
  }
  const highest = Math.max(...sigmas);

  return {
    timesteps: timesteps.map(Math.fround),
    initialScale: parseSpacing(fields) === "leading" ? Math.sqrt(highest ** 2 + 1) : highest,
    inputScale: (step) => 1 / Math.sqrt(sigmas[step]! ** 2 + 1),
    advance(output, latents, step) {
      const from = sigmas[step]!;
      const to = sigmas[step + 1]!;
      const clean = cleanLatentsAt(from, prediction, output, latents);
      return latents.map((latent, i) => latent + ((latent - clean[i]!) / from) * (to - from));
    },
  };
}
