import type { Fields } from "../model/fields.ts";
import {
  countDown,
  interpolate,
  linspace,
  parseSpacing,
  roundHalfEven,
  type Scheduler,
  type SchedulerOptions,
  type TrainingSchedule,
  trainingSchedule,
} from "./schedule.ts";

/** Signal, noise and log signal-to-noise at one noise level. */
type Level = { alpha: number; sigma: number; lambda: number };

/** What a step multiplies the latents, the solver's three terms and fresh noise by. */
type Weights = { keep: number; terms: [number, number, number]; fresh: number };

type Settings = ReturnType<typeof parseSettings>;

/**
 * DPM-Solver++ and DPM-Solver in their multistep form, orders 1 to 3, deterministic or with fresh noise (`sde-`).
 *
 * @see https://arxiv.org/abs/2211.01095 (DPM-Solver++), https://arxiv.org/abs/2206.00927 (DPM-Solver)
 */
export function createDpmSolver({ fields, steps, noise }: SchedulerOptions): Scheduler {
  const settings = parseSettings(fields);
  const { timesteps, sigmas } = visit(fields, steps, trainingSchedule(fields));
  const levels = Array.from(sigmas, (ratio): Level => {
    const alpha = 1 / Math.sqrt(ratio ** 2 + 1);
    return { alpha, sigma: ratio * alpha, lambda: -Math.log(ratio) };
  });
  /** Converted outputs of the latest steps, newest first. */
  const history: Float32Array[] = [];

  function orderAt(step: number): number {
    const last = timesteps.length - 1;
    const few = settings.lowerOrderFinal && timesteps.length < 15;
    if (step === last && (few || settings.eulerAtFinal || settings.endsAtZero)) return 1;
    return Math.min(settings.order, history.length, step === last - 1 && few ? 2 : 3);
  }

  return {
    timesteps,
    initialScale: 1,
    inputScale: () => 1,
    advance(output, latents, step) {
      const from = levels[step]!;
      const to = levels[step + 1]!;
      history.unshift(convertOutput(output, latents, from, settings));
      history.length = Math.min(history.length, settings.order);
      const fresh = settings.stochastic ? noise.normal(latents.length) : undefined;

      const order = orderAt(step);
      const { keep, terms, fresh: freshShare } = solverWeights(from, to, order, settings);
      const h = to.lambda - from.lambda;
      const r0 = order > 1 ? (from.lambda - levels[step - 1]!.lambda) / h : 1;
      const r1 = order > 2 ? (levels[step - 1]!.lambda - levels[step - 2]!.lambda) / h : 1;
      const [m0, m1, m2] = history as [Float32Array, Float32Array, Float32Array];

      return latents.map((latent, i) => {
        let next = keep * latent + terms[0] * m0[i]!;
        if (order > 1) {
          const slope = (m0[i]! - m1[i]!) / r0;
          const bend = order > 2 ? (slope - (m1[i]! - m2[i]!) / r1) / (r0 + r1) : 0;
          next += terms[1] * (slope + r0 * bend) + (order > 2 ? terms[2] * bend : 0);
        }
        return fresh === undefined ? next : next + freshShare * fresh[i]!;
      });
    },
  };
}

function parseSettings(fields: Fields) {
  const algorithm = fields.oneOf(
    "algorithm_type",
    ["dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver", "deis"],
    "dpmsolver++",
  );
  const order = fields.count("solver_order", 2);
  if (order > 3) throw fields.invalid("solver_order");
  const stochastic = algorithm.startsWith("sde-");
  /** The solver integrates predictions of the clean latents rather than of the noise. */
  const predictsClean = algorithm.endsWith("++") || algorithm === "deis";
  // The reference takes the names of other solvers' types for its own default.
  const solver = fields.oneOf("solver_type", ["midpoint", "heun", "logrho", "bh1", "bh2"], "midpoint");
  const final = fields.raw("final_sigmas_type") ?? "zero";
  if (final !== "zero" && final !== "sigma_min") throw fields.invalid("final_sigmas_type");
  if (final === "zero" && !predictsClean) throw fields.invalid("final_sigmas_type");
  if (order === 3 && algorithm === "sde-dpmsolver") throw fields.unsupported("solver_order");
  for (const key of [
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "use_flow_sigmas",
    "use_dynamic_shifting",
  ]) {
    fields.only(key, false);
  }
  fields.only("variance_type", undefined);
  return {
    order,
    stochastic,
    predictsClean,
    heun: solver === "heun",
    endsAtZero: final === "zero",
    prediction: fields.oneOf("prediction_type", ["epsilon", "v_prediction", "sample"], "epsilon"),
    lowerOrderFinal: fields.flag("lower_order_final", true),
    eulerAtFinal: fields.flag("euler_at_final", false),
    clip: fields.flag("thresholding", false)
      ? {
          ratio: fields.number("dynamic_thresholding_ratio", 0.995),
          maximum: fields.number("sample_max_value", 1),
        }
      : undefined,
  };
}

/** The timesteps of a run and the noise levels at them, with the level it ends at. */
function visit(
  fields: Fields,
  steps: number,
  training: TrainingSchedule,
): { timesteps: number[]; sigmas: Float32Array } {
  const { sigmas: table } = training;
  const karras = fields.flag("use_karras_sigmas", false);
  const lu = fields.flag("use_lu_lambdas", false);
  const last = fields.raw("final_sigmas_type") === "sigma_min" ? table[0]! : 0;
  if (!karras && !lu) {
    const timesteps = spacedTimesteps(fields, steps, training);
    return { timesteps, sigmas: Float32Array.of(...timesteps.map((t) => interpolate(table, t)), last) };
  }
  const logs = table.map(Math.log);
  const rho = 7;
  const ramp = (from: number, to: number) => linspace(0, 1, steps).map((t) => from + t * (to - from));
  const sigmas = karras
    ? ramp(table.at(-1)! ** (1 / rho), table[0]! ** (1 / rho)).map((root) => root ** rho)
    : ramp(logs.at(-1)!, logs[0]!).map(Math.exp);
  const cosine = fields.raw("beta_schedule") === "squaredcos_cap_v2";
  const timesteps = sigmas.map((sigma) => {
    const t = timestepOf(sigma, logs);
    return cosine ? Math.trunc(t) : roundHalfEven(t);
  });
  return { timesteps, sigmas: Float32Array.of(...sigmas, last) };
}

function spacedTimesteps(
  fields: Fields,
  steps: number,
  { timesteps: all, sigmas }: TrainingSchedule,
): number[] {
  const lowestLambda = fields.number("lambda_min_clipped", Number.NEGATIVE_INFINITY);
  const end = all - sigmas.filter((sigma) => -Math.log(sigma) < lowestLambda).length;
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

/** The fractional training timestep at which the noise has this level. */
function timestepOf(sigma: number, logs: Float32Array): number {
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

/** The model's output as the clean latents or as the noise, whichever the solver integrates. */
function convertOutput(
  output: Float32Array,
  latents: Float32Array,
  level: Level,
  settings: Settings,
): Float32Array {
  const { alpha, sigma } = level;
  const { prediction, predictsClean, clip } = settings;
  const clean = (out: number, i: number): number => {
    if (prediction === "epsilon") return (latents[i]! - sigma * out) / alpha;
    return prediction === "v_prediction" ? alpha * latents[i]! - sigma * out : out;
  };
  const noise = (out: number, i: number): number => {
    if (prediction === "epsilon") return out;
    if (prediction === "v_prediction") return alpha * out + sigma * latents[i]!;
    return (latents[i]! - alpha * out) / sigma;
  };
  if (clip === undefined) return output.map(predictsClean ? clean : noise);
  const clipped = clipDynamically(output.map(clean), clip);
  return predictsClean ? clipped : clipped.map((x, i) => (latents[i]! - alpha * x) / sigma);
}

/** @see https://arxiv.org/abs/2205.11487 section 2.3 */
function clipDynamically(
  values: Float32Array,
  { ratio, maximum }: { ratio: number; maximum: number },
): Float32Array {
  const sorted = values.map(Math.abs).sort();
  const quantile = interpolate(sorted, ratio * (sorted.length - 1));
  const limit = Math.min(Math.max(quantile, 1), maximum);
  return values.map((value) => Math.min(Math.max(value, -limit), limit) / limit);
}

/** The exponential integrator's coefficients for a step between two noise levels. */
function solverWeights(from: Level, to: Level, order: number, settings: Settings): Weights {
  const { predictsClean, stochastic, heun } = settings;
  const h = to.lambda - from.lambda;
  const midpoint = order < 3 && !heun;
  if (predictsClean) {
    const g = stochastic ? 2 * h : h;
    const decay = Math.expm1(-g);
    return {
      keep: (to.sigma / from.sigma) * (stochastic ? Math.exp(-h) : 1),
      terms: [
        -to.alpha * decay,
        midpoint ? -0.5 * to.alpha * decay : to.alpha * (decay / g + 1),
        // The sign of the half differs between the two in the reference, and so it does here.
        -to.alpha * ((decay + g) / g ** 2 + (stochastic ? 0.5 : -0.5)),
      ],
      fresh: stochastic ? to.sigma * Math.sqrt(-decay) : 0,
    };
  }
  const growth = Math.expm1(h);
  const sigma = stochastic ? 2 * to.sigma : to.sigma;
  return {
    keep: to.alpha / from.alpha,
    terms: [
      -sigma * growth,
      midpoint ? -0.5 * sigma * growth : -sigma * (growth / h - 1),
      -sigma * ((growth - h) / h ** 2 - 0.5),
    ],
    fresh: stochastic ? to.sigma * Math.sqrt(Math.expm1(2 * h)) : 0,
  };
}
