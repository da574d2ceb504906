/** The parts that need Node.js. */

export * from "./deploy.ts";
export * from "./keystore.ts";
export * from "./sqlite.ts";
