/**
 * How many threads run a model fastest on this machine. Small models lose more to the handing over of work than they
 * gain from a second core, large ones do not, so it is measured once and kept.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A run this long is worth sharing whatever the machine; measuring it again would only take time. */
const LARGE_RUN_MS = 400;
/** More threads must be this much faster, or one leaves the rest of the machine alone. */
const GAIN = 0.9;

/**
 * One or `cores`, whichever is faster.
 *
 * @param measureMs how long one run takes with so many threads.
 */
export async function chooseThreads(
  cores: number,
  measureMs: (threads: number) => Promise<number>,
): Promise<number> {
  if (cores <= 1) return 1;
  const allMs = await measureMs(cores);
  if (allMs >= LARGE_RUN_MS) return cores;
  const oneMs = await measureMs(1);
  return allMs < oneMs * GAIN ? cores : 1;
}

/** Keeps a choice in `cacheDir` under `key`; without a directory it is made anew each time. */
export async function cachedThreads(
  cacheDir: string | undefined,
  key: string,
  choose: () => Promise<number>,
): Promise<number> {
  if (cacheDir === undefined) return choose();
  const name = createHash("sha256").update(key).digest("hex").slice(0, 32);
  const path = join(cacheDir, `threads-${name}.json`);
  const kept = await readFile(path, "utf8").then(parse, () => undefined);
  if (kept !== undefined) return kept;
  const threads = await choose();
  await mkdir(cacheDir, { recursive: true });
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, JSON.stringify({ key, threads }));
  await rename(draft, path);
  return threads;
}

function parse(text: string): number | undefined {
  try {
    const { threads } = JSON.parse(text) as { threads?: unknown };
    return Number.isInteger(threads) && (threads as number) > 0 ? (threads as number) : undefined;
  } catch {
    return undefined;
  }
}
