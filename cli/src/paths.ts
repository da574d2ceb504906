/** Where the command finds and keeps things. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

/** The models that ship with the project. */
export const shippedModelsDir = join(repositoryRoot, "models");

/** The directory of the network: `--data`, `HYDROGEN_HOME`, or `.hydrogen` in the working directory. */
export function dataDirOf(option: string | undefined): string {
  const chosen = option ?? process.env.HYDROGEN_HOME ?? ".hydrogen";
  return resolve(chosen.startsWith("~/") ? join(homedir(), chosen.slice(2)) : chosen);
}
