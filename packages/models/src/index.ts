export * from "./errors.ts";
export { sha256File } from "./files.ts";
export { type ModelDefaults, type ModelManifest, manifestName } from "./manifest.ts";
export * from "./models.ts";
export { checkManifest, writeManifest } from "./write-manifest.ts";
