/** The secret that the local API's commands need: whoever may read the node's data directory may command the node. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** What a crash or a full disk left of a token is none, and is replaced; the data directory's lock keeps others away. */
export function readOrCreateApiToken(path: string): string {
  const kept = read(path);
  if (kept !== undefined && /^[0-9a-f]{64}$/.test(kept)) return kept;
  const token = randomBytes(32).toString("hex");
  const partial = `${path}.partial`;
  writeFileSync(partial, token, { mode: 0o600, flush: true });
  renameSync(partial, path);
  syncDirectory(dirname(path));
  return token;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Windows cannot, and does not need to. */
function syncDirectory(path: string): void {
  if (process.platform === "win32") return;
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
