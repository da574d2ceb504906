export * from "./capabilities.ts";
export * from "./errors.ts";
export { type ModelFamily, modelFamily } from "./model-family.ts";
export type { Preprocess } from "./preprocess.ts";
export type { SdScheduler, SdSchedulerInput, SdSchedulerMethod } from "./schedulers.ts";
export * from "./sd-args.ts";
export {
  latentScalePx,
  maxImageSidePx,
  type SdTaskArgs,
  type SdTaskArgsInput,
  sdTaskArgs,
} from "./sd-schema.ts";
export * from "./task-args.ts";
export * from "./vram.ts";
