/** Keeps two processes off one directory. The lock is the operating system's: it ends with the process, however that ends. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { storageError } from "./errors.ts";

/**
 * Locks a directory, making it if there is none.
 *
 * @returns releases the lock
 * @throws STORAGE_IN_USE if another process holds it
 */
export function lockDirectory(dir: string): () => void {
  mkdirSync(dir, { recursive: true });
  const file = new DatabaseSync(join(dir, "lock.sqlite"), { timeout: 0 });
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    file.close();
    throw storageError("STORAGE_IN_USE", { dir }, cause);
  }
  return () => file.close();
}
