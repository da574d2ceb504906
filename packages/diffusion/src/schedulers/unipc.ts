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
import { curveEnds, karrasSigmas, parseCurve, parseFinalSigma, timestepOf } from "./sigmas.ts";

type Settings = ReturnType<typeof parseSettings>;

/**
 * UniPC: a multistep predictor, whose last step each new output corrects at no further cost.
 *
 * @see https://arxiv.org/abs/2302.04867 algorithms 5 to 8
 */
export function createUniPc({ fields, steps }: SchedulerOptions): Scheduler {
  const settings = parseSettings(fields);
  const { prediction, predictsClean, clip } = settings;
  const { timesteps, sigmas } = visit(fields, steps, trainingSchedule(fields));
  const levels = levelsOf(sigmas);
  /** Converted outputs of the latest steps, newest first. */
  const history: Float32Array[] = [];
  /** Where the latest step began, and its order. */
  let latest: { latents: Float32Array; order: number } | undefined;

  /** Divided differences of the outputs before the newest, and how far back they lie in units of the step. */
  function differences(order: number, newest: number, h: number) {
    const distances = Array.from(
      { length: order - 1 },
      (_, i) => (levels[newest - 1 - i]!.lambda - levels[newest]!.lambda) / h,
    );
    const slopes = distances.map((distance, i) =>
      history[i + 1]!.map((value, j) => (value - history[0]![j]!) / distance),
    );
    return { distances, slopes };
  }

  function correct(output: Float32Array, step: number): Float32Array {
    const { latents: begin, order } = latest!;
    const [from, to] = [levels[step - 1]!, levels[step]!];
    const { distances, slopes } = differences(order, step - 1, to.lambda - from.lambda);
    const { rows, values } = conditions(from, to, [...distances, 1], settings);
    const weights = order === 1 ? [0.5] : solve(rows, values);
    const arrived = output.map((value, i) => value - history[0]![i]!);
    return move(begin, from, to, history[0]!, [...slopes, arrived], weights, settings);
  }

  function predict(latents: Float32Array, step: number, order: number): Float32Array {
    const [from, to] = [levels[step]!, levels[step + 1]!];
    const { distances, slopes } = differences(order, step, to.lambda - from.lambda);
    let weights: number[] = [];
    if (order === 2) weights = [0.5];
    if (order > 2) {
      const { rows, values } = conditions(from, to, distances, settings);
      weights = solve(rows, values);
    }
    return move(latents, from, to, history[0]!, slopes, weights, settings);
  }

  return {
    timesteps,
    initialScale: 1,
    inputScale: () => 1,
    advance(output, latents, step) {
      const level = levels[step]!;
      const believed = (predictsClean ? cleanLatents : noiseIn)(prediction, output, latents, level);
      const converted = predictsClean ? (clip?.(believed) ?? believed) : believed;
      const corrects = step > 0 && !settings.uncorrected.has(step - 1);
      const begin = corrects ? correct(converted, step) : latents;
      history.unshift(converted);
      history.length = Math.min(history.length, settings.order);

      const left = settings.lowerOrderFinal ? timesteps.length - step : settings.order;
      const order = Math.min(settings.order, left, step + 1);
      latest = { latents: begin, order };
      return predict(begin, step, order);
    },
  };
}

function parseSettings(fields: Fields) {
  for (const key of ["use_flow_sigmas", "use_dynamic_shifting"]) fields.only(key, false);
  for (const key of ["solver_p", "shift_terminal"]) fields.only(key, undefined);
  const order = fields.count("solver_order", 2);
  if (order > 3) throw fields.unsupported("solver_order");
  // The reference takes the names of other solvers' types for its own default.
  const solver = fields.oneOf("solver_type", ["bh1", "bh2", "midpoint", "heun", "logrho"], "bh2");
  const predictsClean = fields.flag("predict_x0", true);
  const lowerOrderFinal = fields.flag("lower_order_final", true);
  if (parseFinalSigma(fields) === "zero") {
    // The last step is infinitely long in log signal-to-noise: only the first order of the clean latents can take it.
    if (!predictsClean) throw fields.invalid("predict_x0");
    if (!lowerOrderFinal && order > 1) throw fields.invalid("lower_order_final");
  }
  const uncorrected = fields.raw("disable_corrector") ?? [];
  if (!Array.isArray(uncorrected)) throw fields.invalid("disable_corrector");
  return {
    order,
    predictsClean,
    lowerOrderFinal,
    bh1: solver === "bh1",
    prediction: parsePrediction(fields),
    clip: parseThresholding(fields),
    uncorrected: new Set<unknown>(uncorrected),
  };
}

/** The timesteps of a run and the noise levels at them, with the level it ends at. */
function visit(fields: Fields, steps: number, { sigmas: table, timesteps: all }: TrainingSchedule) {
  const curve = parseCurve(fields);
  const toZero = parseFinalSigma(fields) === "zero";
  if (curve === undefined) {
    const timesteps = multistepTimesteps(fields, steps, all);
    const levels = timesteps.map((t) => interpolate(table, t));
    return { timesteps, sigmas: Float32Array.of(...levels, toZero ? 0 : table[0]!) };
  }
  const logs = table.map(Math.log);
  const levels = curve(...curveEnds(fields, table.at(-1)!, table[0]!), steps);
  const round = curve === karrasSigmas ? roundHalfEven : Math.trunc;
  return {
    timesteps: levels.map((sigma) => round(timestepOf(sigma, logs))),
    sigmas: Float32Array.of(...levels, toZero ? 0 : levels.at(-1)!),
  };
}

/** h of the integrals: forward for noise, backward for clean latents. */
function signedStep(from: Level, to: Level, { predictsClean }: Settings): number {
  return predictsClean ? from.lambda - to.lambda : to.lambda - from.lambda;
}

/** B(h) of the paper, of which it names two. */
function scaleOf(h: number, { bh1 }: Settings): number {
  return bh1 ? h : Math.expm1(h);
}

/** The linear conditions on the weights of the slopes at these distances, one for each. */
function conditions(from: Level, to: Level, distances: readonly number[], settings: Settings) {
  const h = signedStep(from, to, settings);
  const scale = scaleOf(h, settings);
  const rows: number[][] = [];
  const values: number[] = [];
  let phi = Math.expm1(h) / h - 1;
  let factorial = 1;
  for (let i = 0; i < distances.length; i++) {
    rows.push(distances.map((distance) => distance ** i));
    values.push((phi * factorial) / scale);
    factorial *= i + 2;
    phi = phi / h - 1 / factorial;
  }
  return { rows, values };
}

/** From one level to another along the newest output and the weighted slopes. */
function move(
  latents: Float32Array,
  from: Level,
  to: Level,
  newest: Float32Array,
  slopes: readonly Float32Array[],
  weights: readonly number[],
  settings: Settings,
): Float32Array {
  const h = signedStep(from, to, settings);
  const { predictsClean } = settings;
  const keep = predictsClean ? to.sigma / from.sigma : to.alpha / from.alpha;
  const gain = predictsClean ? to.alpha : to.sigma;
  const take = gain * Math.expm1(h);
  // Without slopes there is nothing to scale, and the scale may be infinite.
  const bend = slopes.length === 0 ? 0 : gain * scaleOf(h, settings);
  return latents.map((latent, i) => {
    const slope = weights.reduce((sum, weight, j) => sum + weight * slopes[j]![i]!, 0);
    return keep * latent - take * newest[i]! - bend * slope;
  });
}

/** Gaussian elimination with pivots. */
function solve(rows: readonly (readonly number[])[], values: readonly number[]): number[] {
  const size = values.length;
  const matrix = rows.map((row, i) => [...row, values[i]!]);
  for (let i = 0; i < size; i++) {
    const below = matrix.slice(i).map((row) => Math.abs(row[i]!));
    const pivot = i + below.indexOf(Math.max(...below));
    [matrix[i], matrix[pivot]] = [matrix[pivot]!, matrix[i]!];
    for (let j = 0; j < size; j++) {
      if (j === i) continue;
      const factor = matrix[j]![i]! / matrix[i]![i]!;
      for (let k = i; k <= size; k++) matrix[j]![k] = matrix[j]![k]! - factor * matrix[i]![k]!;
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!);
}
