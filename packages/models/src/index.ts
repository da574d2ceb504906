export * from "./errors.ts";
export { sha256File } from "./files.ts";
export { type ModelDefaults, type ModelManifest, manifestName } from "./manifest.ts";
export * from "./models.ts";
export { defaultAllowedHosts } from "./net/policy.ts";
export type { PullPhase, PullProgress } from "./progress.ts";
export type { ModelRef } from "./ref.ts";
export * from "./store.ts";
export { checkManifest, writeManifest } from "./write-manifest.ts";
