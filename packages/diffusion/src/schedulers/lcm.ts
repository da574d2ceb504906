import { cleanLatents, parseClipSample, parsePrediction, parseThresholding } from "./prediction.ts";
import { type Scheduler, type SchedulerOptions, trainingSchedule } from "./schedule.ts";

/**
 * Multistep sampling from a latent consistency model: each output is a whole picture, to which noise is added again
 * for the next. The timesteps are some of the `original_inference_steps` that the model was distilled on.
 *
 * @see https://arxiv.org/abs/2310.04378 algorithm 3
 */
export function createLcm({ fields: given, steps, noise }: SchedulerOptions): Scheduler {
  const fields = given.withDefaults({
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: "scaled_linear",
  });
  const prediction = parsePrediction(fields);
  const clip = parseThresholding(fields) ?? parseClipSample(fields, false);
  const scaling = fields.number("timestep_scaling", 10);
  const { alphas, timesteps: all } = trainingSchedule(fields, "exact");
  const originalSteps = fields.count("original_inference_steps", 50);
  if (originalSteps > Math.min(all, alphas.length) || steps > originalSteps) {
    throw fields.invalid("original_inference_steps");
  }
  const stride = Math.floor(all / originalSteps);
  const timesteps = Array.from(
    { length: steps },
    (_, i) => (originalSteps - Math.floor(i * (originalSteps / steps))) * stride - 1,
  );
  if (timesteps[0]! >= alphas.length) throw fields.invalid("num_train_timesteps");
  if (prediction === "epsilon" && alphas[timesteps[0]!] === 0) throw fields.invalid("rescale_betas_zero_snr");

  return {
    timesteps,
    initialScale: 1,
    inputScale: () => 1,
    advance(output, latents, step) {
      const t = timesteps[step]!;
      const from = alphas[t]!;
      const mix = { alpha: Math.sqrt(from), sigma: Math.sqrt(1 - from) };
      const believed = cleanLatents(prediction, output, latents, mix);
      const clean = clip?.(believed) ?? believed;
      // At timestep 0 the latents are the picture, whatever the model says.
      const data = 0.5 ** 2;
      const scaled = t * scaling;
      const keep = data / (scaled ** 2 + data);
      const take = scaled / Math.sqrt(scaled ** 2 + data);
      const denoised = clean.map((value, i) => take * value + keep * latents[i]!);
      if (step === timesteps.length - 1) return denoised;

      const to = alphas[timesteps[step + 1]!]!;
      const fresh = noise.normal(latents.length);
      return denoised.map((value, i) => Math.sqrt(to) * value + Math.sqrt(1 - to) * fresh[i]!);
    },
  };
}
