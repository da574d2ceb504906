export * from "./bridge-client.ts";
export * from "./errors.ts";
export * from "./receipt.ts";
export * from "./relay-client.ts";
export * from "./relay-errors.ts";
export * from "./task-client.ts";
export * from "./verify.ts";
