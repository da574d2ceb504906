/** The parts that need Node.js. */

export * from "./keystore.ts";
export * from "./sqlite.ts";
