export * from "./blobs.ts";
export * from "./database.ts";
export * from "./directory-lock.ts";
export { storageError } from "./errors.ts";
