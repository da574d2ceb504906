import { diffusionError } from "../errors.ts";
import { createDdim } from "./ddim.ts";
import { createDpmSolver } from "./dpm-solver.ts";
import { createEuler } from "./euler.ts";
import { createEulerAncestral } from "./euler-ancestral.ts";
import { createHeun } from "./heun.ts";
import { createLcm } from "./lcm.ts";
import { createPndm } from "./pndm.ts";
import type { Scheduler, SchedulerOptions } from "./schedule.ts";
import { createUniPc } from "./unipc.ts";

const SCHEDULERS = {
  EulerAncestralDiscreteScheduler: createEulerAncestral,
  DPMSolverMultistepScheduler: createDpmSolver,
  LCMScheduler: createLcm,
  DDIMScheduler: createDdim,
  EulerDiscreteScheduler: createEuler,
  HeunDiscreteScheduler: createHeun,
  UniPCMultistepScheduler: createUniPc,
  PNDMScheduler: createPndm,
};

/** The schedulers there are, by their names in diffusers. */
export const schedulerMethods: readonly string[] = Object.keys(SCHEDULERS);

/** @throws SCHEDULER_UNSUPPORTED, ARGS_SCHEDULER_INVALID */
export function createScheduler(method: string, options: SchedulerOptions): Scheduler {
  if (!Object.hasOwn(SCHEDULERS, method)) throw diffusionError("SCHEDULER_UNSUPPORTED", { method });
  // More steps than noise levels would visit one twice and divide by the nothing between.
  if (options.steps > options.fields.count("num_train_timesteps", 1000)) {
    throw options.fields.invalid("num_train_timesteps");
  }
  return SCHEDULERS[method as keyof typeof SCHEDULERS](options);
}

export { type Scheduler, schedulerFields } from "./schedule.ts";
