/** Keeps two processes off one directory. The lock is the operating system's: it ends with the process, however that ends. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { storageError } from "./errors.ts";

/**
 * Locks a directory, making it if there is none.
 *
 * @returns releases the lock
 * @throws STORAGE_IN_USE if another process holds it, STORAGE_WRITE_FAILED if the directory cannot be written
 */
export function lockDirectory(dir: string): () => void {
  let file: DatabaseSync | undefined;
  try {
    mkdirSync(dir, { recursive: true });
    file = new DatabaseSync(join(dir, "lock.sqlite"), { timeout: 0 });
    file.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    file?.close();
    throw storageError(isBusy(cause) ? "STORAGE_IN_USE" : "STORAGE_WRITE_FAILED", { dir }, cause);
  }
  const held = file;
  return () => held.close();
}

/** SQLITE_BUSY, see https://www.sqlite.org/rescode.html#busy */
function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 5;
}
