export { diffusionError } from "./errors.ts";
export { type LoadOptions, type LoadStage, loadPipeline } from "./load.ts";
export type { DiffusionPipeline, GenerateHooks, GenerateResult, StepInfo } from "./pipeline.ts";
export { encodePng, type RgbImage } from "./png.ts";
export type { TextualInversion } from "./prompt/textual-inversion.ts";
export type { GenerateRequest } from "./request.ts";
export { engineFingerprint, enginePlatform } from "./runtime/fingerprint.ts";
export { schedulerMethods } from "./schedulers/index.ts";
