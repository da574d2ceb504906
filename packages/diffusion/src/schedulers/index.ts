import { diffusionError } from "../errors.ts";
import { createDpmSolver } from "./dpm-solver.ts";
import { createEulerAncestral } from "./euler-ancestral.ts";
import type { Scheduler, SchedulerOptions } from "./schedule.ts";

const SCHEDULERS = {
  EulerAncestralDiscreteScheduler: createEulerAncestral,
  DPMSolverMultistepScheduler: createDpmSolver,
};

export type SchedulerMethod = keyof typeof SCHEDULERS;

/** @throws SCHEDULER_UNSUPPORTED, ARGS_SCHEDULER_INVALID */
export function createScheduler(method: string, options: SchedulerOptions): Scheduler {
  if (!Object.hasOwn(SCHEDULERS, method)) throw diffusionError("SCHEDULER_UNSUPPORTED", { method });
  return SCHEDULERS[method as SchedulerMethod](options);
}

export { type Scheduler, schedulerFields } from "./schedule.ts";
