import type { Fields } from "../model/fields.ts";
import { type Level, levelsOf, multistepTimesteps } from "./multistep.ts";
import { cleanLatents, noiseIn, parsePrediction, parseThresholding } from "./prediction.ts";
import {
  interpolate,
  roundHalfEven,
  type Scheduler,
  type SchedulerOptions,
  type TrainingSchedule,
  trainingSchedule,
} from "./schedule.ts";
import {
  curveEnds,
  exponentialSigmas,
  karrasSigmas,
  parseCurve,
  parseFinalSigma,
  timestepOf,
} from "./sigmas.ts";

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
  const levels = levelsOf(sigmas);
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
  const final = parseFinalSigma(fields);
  if (final === "zero" && !predictsClean) throw fields.invalid("final_sigmas_type");
  if (order === 3 && algorithm === "sde-dpmsolver") throw fields.unsupported("solver_order");
  for (const key of ["use_flow_sigmas", "use_dynamic_shifting"]) fields.only(key, false);
  fields.only("variance_type", undefined);
  return {
    order,
    stochastic,
    predictsClean,
    heun: solver === "heun",
    endsAtZero: final === "zero",
    prediction: parsePrediction(fields),
    lowerOrderFinal: fields.flag("lower_order_final", true),
    eulerAtFinal: fields.flag("euler_at_final", false),
    clip: parseThresholding(fields),
  };
}

/** The timesteps of a run and the noise levels at them, with the level it ends at. */
function visit(
  fields: Fields,
  steps: number,
  training: TrainingSchedule,
): { timesteps: number[]; sigmas: Float32Array } {
  const { sigmas: table } = training;
  const curve = parseCurve(fields);
  // Evenly spaced logarithms too, but with whole timesteps; Karras' curve goes before it, the other one after.
  const lu = fields.flag("use_lu_lambdas", false);
  const last = parseFinalSigma(fields) === "sigma_min" ? table[0]! : 0;
  if (curve === undefined && !lu) {
    const lowestLambda = fields.number("lambda_min_clipped", Number.NEGATIVE_INFINITY);
    const end = training.timesteps - table.filter((sigma) => -Math.log(sigma) < lowestLambda).length;
    const timesteps = multistepTimesteps(fields, steps, training.timesteps, end);
    return { timesteps, sigmas: Float32Array.of(...timesteps.map((t) => interpolate(table, t)), last) };
  }
  const logs = table.map(Math.log);
  const [highest, lowest] = [table.at(-1)!, table[0]!];
  const kind = curve === karrasSigmas ? "karras" : lu ? "lu" : "exponential";
  const ends = kind === "lu" ? ([highest, lowest] as const) : curveEnds(fields, highest, lowest);
  const sigmas = (kind === "karras" ? karrasSigmas : exponentialSigmas)(...ends, steps);
  const cut = kind === "exponential" || fields.raw("beta_schedule") === "squaredcos_cap_v2";
  const timesteps = sigmas.map((sigma) => {
    const t = timestepOf(sigma, logs);
    return cut ? Math.trunc(t) : roundHalfEven(t);
  });
  return { timesteps, sigmas: Float32Array.of(...sigmas, last) };
}

/** The model's output as the clean latents or as the noise, whichever the solver integrates. */
function convertOutput(
  output: Float32Array,
  latents: Float32Array,
  level: Level,
  settings: Settings,
): Float32Array {
  const { prediction, predictsClean, clip } = settings;
  if (clip === undefined) {
    return (predictsClean ? cleanLatents : noiseIn)(prediction, output, latents, level);
  }
  const clipped = clip(cleanLatents(prediction, output, latents, level));
  return predictsClean ? clipped : noiseIn("sample", clipped, latents, level);
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
