import {
  countDown,
  interpolate,
  linspace,
  parseSpacing,
  roundHalfEven,
  type Scheduler,
  type SchedulerOptions,
  trainingSchedule,
} from "./schedule.ts";

/**
 * Ancestral sampling with Euler steps: each step goes below the next noise level and adds fresh noise back.
 *
 * @see https://github.com/crowsonkb/k-diffusion `sample_euler_ancestral`
 */
export function createEulerAncestral({ fields, steps, noise }: SchedulerOptions): Scheduler {
  const prediction = fields.oneOf("prediction_type", ["epsilon", "v_prediction"], "epsilon");
  const spacing = parseSpacing(fields);
  const training = trainingSchedule(fields);
  const offset = fields.whole("steps_offset", 0);
  const timesteps = visited().map(Math.fround);
  const sigmas = Float32Array.of(...timesteps.map((t) => interpolate(training.sigmas, t)), 0);
  const highest = Math.max(...sigmas);

  function visited(): number[] {
    const all = training.timesteps;
    if (spacing === "linspace") return linspace(0, all - 1, steps).toReversed();
    if (spacing === "trailing") return countDown(all, all / steps).map((t) => roundHalfEven(t) - 1);
    const ratio = Math.floor(all / steps);
    return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio + offset);
  }

  return {
    timesteps,
    initialScale: spacing === "leading" ? Math.sqrt(highest ** 2 + 1) : highest,
    inputScale: (step) => 1 / Math.sqrt(sigmas[step]! ** 2 + 1),
    advance(output, latents, step) {
      const from = sigmas[step]!;
      const to = sigmas[step + 1]!;
      const up = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2);
      const down = Math.sqrt(to ** 2 - up ** 2);
      const fresh = noise.normal(latents.length);
      return latents.map((latent, i) => {
        const clean =
          prediction === "epsilon"
            ? latent - from * output[i]!
            : (output[i]! * -from) / Math.sqrt(from ** 2 + 1) + latent / (from ** 2 + 1);
        return latent + ((latent - clean) / from) * (down - from) + fresh[i]! * up;
      });
    },
  };
}
