/** The parts that need Node.js. */
export * from "./sqlite.ts";
