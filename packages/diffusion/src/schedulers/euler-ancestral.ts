import { cleanLatentsAt } from "./prediction.ts";
import {
  interpolate,
  parseSpacing,
  type Scheduler,
  type SchedulerOptions,
  spacedTimesteps,
  trainingSchedule,
} from "./schedule.ts";

/**
 * Ancestral sampling with Euler steps: each step goes below the next noise level and adds fresh noise back.
 *
 * @see https://github.com/crowsonkb/k-diffusion `sample_euler_ancestral`
 */
export function createEulerAncestral({ fields, steps, noise }: SchedulerOptions): Scheduler {
  const prediction = fields.oneOf("prediction_type", ["epsilon", "v_prediction"], "epsilon");
  const training = trainingSchedule(fields);
  const timesteps = spacedTimesteps(fields, steps, training.timesteps).map(Math.fround);
  const sigmas = Float32Array.of(...timesteps.map((t) => interpolate(training.sigmas, t)), 0);
  const highest = Math.max(...sigmas);

  return {
    timesteps,
    initialScale: parseSpacing(fields) === "leading" ? Math.sqrt(highest ** 2 + 1) : highest,
    inputScale: (step) => 1 / Math.sqrt(sigmas[step]! ** 2 + 1),
    advance(output, latents, step) {
      const from = sigmas[step]!;
      const to = sigmas[step + 1]!;
      const up = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2);
      const down = Math.sqrt(to ** 2 - up ** 2);
      const fresh = noise.normal(latents.length);
      const clean = cleanLatentsAt(from, prediction, output, latents);
      return latents.map(
        (latent, i) => latent + ((latent - clean[i]!) / from) * (down - from) + fresh[i]! * up,
      );
    },
  };
}
