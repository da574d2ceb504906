import { diffusionError } from "../errors.ts";
import { createDpmSolver } from "./dpm-solver.ts";
import { createEulerAncestral } from "./euler-ancestral.ts";
import type { Scheduler, SchedulerOptions } from "./schedule.ts";

const SCHEDULERS = {
  EulerAncestralDiscreteScheduler: createEulerAncestral,
  DPMSolverMultistepScheduler: createDpmSolver,
};

/** The schedulers there are, by their names in diffusers. */
export const schedulerMethods: readonly string[] = Object.keys(SCHEDULERS);

/** @throws SCHEDULER_UNSUPPORTED, ARGS_SCHEDULER_INVALID */
export function createScheduler(method: string, options: SchedulerOptions): Scheduler {
  if (!Object.hasOwn(SCHEDULERS, method)) throw diffusionError("SCHEDULER_UNSUPPORTED", { method });
  return SCHEDULERS[method as keyof typeof SCHEDULERS](options);
}

export { type Scheduler, schedulerFields } from "./schedule.ts";
