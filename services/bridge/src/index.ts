export * from "./bridge.ts";
export * from "./config.ts";
