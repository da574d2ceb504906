import { type Scheduler, type SchedulerOptions, trainingSchedule, wholeTimesteps } from "./schedule.ts";

/**
 * Pseudo numerical methods: a linear multistep method of up to fourth order (PLMS) over the noise predictions, begun
 * by pseudo Runge–Kutta steps of four predictions each, or, with `skip_prk_steps`, by lower orders and the second
 * timestep taken twice.
 *
 * @see https://arxiv.org/abs/2202.09778 equations 9, 12 and 13, algorithm 2
 */
export function createPndm({ fields: given, steps }: SchedulerOptions): Scheduler {
  const fields = given.withDefaults({ timestep_spacing: "leading" });
  const prediction = fields.oneOf("prediction_type", ["epsilon", "v_prediction"], "epsilon");
  const skipPrk = fields.flag("skip_prk_steps", false);
  const training = trainingSchedule(fields, "ignored");
  const { alphas } = training;
  const finalAlpha = fields.flag("set_alpha_to_one", false) ? 1 : alphas[0]!;
  const stride = Math.floor(training.timesteps / steps);
  const half = Math.floor(stride / 2);

  const visited = wholeTimesteps(fields, steps, training);
  const prk = skipPrk ? [] : rungeKutta(visited.slice(0, 4), half);
  // With fewer there is nothing that the multistep method could begin from.
  if (!skipPrk && visited.length < 4) throw fields.invalid("skip_prk_steps");
  const plms = skipPrk ? [visited[0]!, ...visited.slice(1, 2), ...visited.slice(1)] : visited.slice(3);
  const timesteps = [...prk, ...plms];
  if (skipPrk && timesteps.length > 1 && timesteps[1]! + stride >= alphas.length) {
    throw fields.invalid("timestep_spacing");
  }

  /** Outputs of the latest steps, newest first. */
  const history: Float32Array[] = [];
  /** Where the present step began, while it takes several predictions. */
  let begin: Float32Array | undefined;
  let sum: Float32Array | undefined;

  function transfer(latents: Float32Array, from: number, to: number, output: Float32Array): Float32Array {
    const alpha = alphas[from]!;
    const alphaTo = to < 0 ? finalAlpha : alphas[to]!;
    const keep = Math.sqrt(alphaTo / alpha);
    const take =
      (alphaTo - alpha) / (alpha * Math.sqrt(1 - alphaTo) + Math.sqrt(alpha * (1 - alpha) * alphaTo));
    const [outShare, latentShare] =
      prediction === "epsilon" ? [1, 0] : [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
    return latents.map((latent, i) => keep * latent - take * (outShare * output[i]! + latentShare * latent));
  }

  function stepPrk(output: Float32Array, latents: Float32Array, step: number): Float32Array {
    const stage = step % 4;
    if (stage === 0) {
      history.unshift(output);
      begin = latents;
    }
    const weight = stage === 0 || stage === 3 ? 1 / 6 : 1 / 3;
    const before = stage === 0 ? undefined : sum;
    sum = output.map((out, i) => (before?.[i] ?? 0) + weight * out);
    const from = prk[step - stage]!;
    const to = prk[step]! - (step % 2 === 1 ? 0 : half);
    return transfer(begin!, from, to, stage === 3 ? sum : output);
  }

  function stepPlms(output: Float32Array, latents: Float32Array, step: number): Float32Array {
    const t = timesteps[step]!;
    if (step === 1) {
      // The first step once more, with the mean of the slopes at its ends.
      const mean = output.map((out, i) => (out + history[0]![i]!) / 2);
      return transfer(begin!, t + stride, t, mean);
    }
    history.unshift(output);
    history.length = Math.min(history.length, 4);
    if (step === 0) begin = latents;
    const weights = ADAMS_BASHFORTH[history.length - 1]!;
    const slope = output.map((_, i) =>
      weights.reduce((total, weight, j) => total + weight * history[j]![i]!, 0),
    );
    return transfer(latents, t, t - stride, slope);
  }

  return {
    timesteps,
    initialScale: 1,
    inputScale: () => 1,
    advance: (output, latents, step) => (step < prk.length ? stepPrk : stepPlms)(output, latents, step),
  };
}

/** Weights of the latest slopes, newest first, by how many there are. */
const ADAMS_BASHFORTH = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/** Three steps between four timesteps, of four predictions each: at the beginning, twice half-way, at the end. */
function rungeKutta(timesteps: readonly number[], half: number): number[] {
  return timesteps.slice(1).flatMap((to, i) => [timesteps[i]!, to + half, to + half, to]);
}
