import { cleanLatents, noiseIn, parseClipSample, parsePrediction, parseThresholding } from "./prediction.ts";
import { type Scheduler, type SchedulerOptions, trainingSchedule, wholeTimesteps } from "./schedule.ts";

/**
 * Denoising diffusion implicit models, without fresh noise (η = 0).
 *
 * @see https://arxiv.org/abs/2010.02502 equation 12
 */
export function createDdim({ fields: given, steps }: SchedulerOptions): Scheduler {
  const fields = given.withDefaults({ timestep_spacing: "leading" });
  const prediction = parsePrediction(fields);
  const training = trainingSchedule(fields, "exact");
  const timesteps = wholeTimesteps(fields, steps, training);
  // Nothing is left of the signal there, and a prediction of the noise says nothing about it.
  if (prediction === "epsilon" && timesteps.some((t) => training.alphas[t] === 0)) {
    throw fields.invalid("rescale_betas_zero_snr");
  }
  const clip = parseThresholding(fields) ?? parseClipSample(fields, true);
  const finalAlpha = fields.flag("set_alpha_to_one", true) ? 1 : training.alphas[0]!;
  const stride = Math.floor(training.timesteps / steps);

  return {
    timesteps,
    initialScale: 1,
    inputScale: () => 1,
    advance(output, latents, step) {
      const t = timesteps[step]!;
      const from = training.alphas[t]!;
      const to = t < stride ? finalAlpha : training.alphas[t - stride]!;
      const mix = { alpha: Math.sqrt(from), sigma: Math.sqrt(1 - from) };
      const believed = cleanLatents(prediction, output, latents, mix);
      const noise = noiseIn(prediction, output, latents, mix);
      const clean = clip?.(believed) ?? believed;
      return clean.map((value, i) => Math.sqrt(to) * value + Math.sqrt(1 - to) * noise[i]!);
    },
  };
}
