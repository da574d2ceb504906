export * from "./blobs.ts";
export * from "./database.ts";
export { storageError } from "./errors.ts";
