/** Keeps two processes off one directory. The lock is the operating system's, so it ends with the process, however that ends. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { embeddedChainError } from "./errors.ts";

/**
 * @returns releases the lock
 * @throws EMBEDDED_CHAIN_IN_USE if another process holds it
 */
export function lockDirectory(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true });
  const file = new DatabaseSync(join(dataDir, "lock.sqlite"), { timeout: 0 });
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    file.close();
    throw embeddedChainError("EMBEDDED_CHAIN_IN_USE", { dataDir }, cause);
  }
  return () => file.close();
}
