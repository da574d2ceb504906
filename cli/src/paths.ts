/** Where the command finds and keeps things. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

/** The models that ship with the project. */
export const shippedModelsDir = join(repositoryRoot, "models");

/**
 * The directory of the network: `--data`, `HYDROGEN_HOME`, or the nearest `.hydrogen` here or further up; where there is
 * none, `.hydrogen` in the working directory.
 */
export function dataDirOf(option: string | undefined): string {
  const chosen = option ?? process.env.HYDROGEN_HOME;
  if (chosen !== undefined)
    return resolve(chosen.startsWith("~/") ? join(homedir(), chosen.slice(2)) : chosen);
  for (let dir = process.cwd(); ; dir = dirname(dir)) {
    if (existsSync(join(dir, ".hydrogen"))) return join(dir, ".hydrogen");
    if (dir === dirname(dir)) return resolve(".hydrogen");
  }
}
