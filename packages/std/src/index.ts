export * from "./async.ts";
export * from "./bytes.ts";
export * from "./errors.ts";
export * from "./time.ts";
