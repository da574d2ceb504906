/** What an engine can do, and whether a task stays within it. */
import { taskError } from "./errors.ts";
import type { SdSchedulerMethod } from "./schedulers.ts";
import type { SdTaskArgs } from "./sd-schema.ts";

/** Parts of the task schema that an engine may or may not have. */
export type SdFeature = "lora" | "controlnet" | "refiner" | "vae" | "textual_inversion" | "unet";

export type SdCapabilities = {
  readonly features: readonly SdFeature[];
  /** Scheduler methods, each with the options it understands ("all": every one in the schema). */
  readonly schedulers: Readonly<Partial<Record<SdSchedulerMethod, "all" | readonly string[]>>>;
  readonly dtypes: readonly SdTaskArgs["dtype"][];
};

/** The engine as it is: text to image with every scheduler of the schema, in 32-bit floats. */
export const basicSdCapabilities: SdCapabilities = {
  features: [],
  schedulers: {
    EulerAncestralDiscreteScheduler: "all",
    DPMSolverMultistepScheduler: "all",
    LCMScheduler: "all",
  },
  dtypes: ["auto", "float32"],
};

const features: readonly SdFeature[] = ["lora", "controlnet", "refiner", "vae", "textual_inversion", "unet"];

/**
 * @param capabilities Default {@link basicSdCapabilities}.
 * @throws TASK_UNSUPPORTED with `path`, `value` and what is `supported` in its place
 */
export function assertSupported(args: SdTaskArgs, capabilities: SdCapabilities = basicSdCapabilities): void {
  const refuse = (path: string, value: string, supported: readonly string[]) =>
    taskError("TASK_UNSUPPORTED", { path, value, supported: supported.join(", ") || "none" });

  for (const feature of features) {
    const asked = args[feature] !== null && args[feature] !== "";
    if (asked && !capabilities.features.includes(feature))
      throw refuse(feature, "present", capabilities.features);
  }
  const { method, args: options } = args.scheduler;
  const understood = Object.hasOwn(capabilities.schedulers, method)
    ? capabilities.schedulers[method]
    : undefined;
  if (understood === undefined)
    throw refuse("scheduler.method", method, Object.keys(capabilities.schedulers));
  if (understood !== "all") {
    const unknown = Object.entries(options ?? {}).find(
      ([name, value]) => value !== null && !understood.includes(name),
    );
    if (unknown) throw refuse(`scheduler.args.${unknown[0]}`, String(unknown[1]), understood);
  }
  if (!capabilities.dtypes.includes(args.dtype)) throw refuse("dtype", args.dtype, capabilities.dtypes);
}
