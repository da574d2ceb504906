/**
 * The store's directory: `<slug>/` holds a finished model, `.incoming/<slug>/` one that is being fetched (or was, when
 * the power went), `.locks/<slug>` says who uses it and, by its time, when it was last used.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "./manifest.ts";

export type Shelf = {
  dir: string;
  finalDir(slug: string): string;
  incomingDir(slug: string): string;
  lockPath(slug: string): string;
  /** Says in the incoming folder how many bytes its model will take. */
  reserve(slug: string, bytes: number): Promise<void>;
  unreserve(slug: string): Promise<void>;
  entries(): Promise<ShelfEntry[]>;
  /** Bytes on disk of what has arrived of a model. */
  arrivedBytes(slug: string): Promise<number>;
  /** Removes the finished model and what is incoming; the caller holds the lock alone. */
  discard(slug: string): Promise<void>;
};

export type ShelfEntry = {
  slug: string;
  state: "ready" | "partial";
  /** On disk, or reserved by a pull. */
  bytes: number;
  lastUsedMs: number;
};

const reservationName = "reserved-bytes";

export function createShelf(dir: string): Shelf {
  const finalDir = (slug: string) => join(dir, slug);
  const incomingDir = (slug: string) => join(dir, ".incoming", slug);
  const lockPath = (slug: string) => join(dir, ".locks", slug);
  const reservationPath = (slug: string) => join(dir, ".incoming", `${slug}.${reservationName}`);

  const timeOf = async (slug: string, folder: string) =>
    (await modifiedMs(lockPath(slug))) ?? (await modifiedMs(folder)) ?? 0;
  const reserved = async (slug: string) =>
    Number(await readFile(reservationPath(slug), "utf8").catch(() => "")) || 0;
  return {
    dir,
    finalDir,
    incomingDir,
    lockPath,
    reserve: async (slug, bytes) => {
      await mkdir(incomingDir(slug), { recursive: true });
      await writeFile(reservationPath(slug), String(bytes));
    },
    unreserve: (slug) => rm(reservationPath(slug), { force: true }),
    entries: async () => {
      const ready = (await folders(dir)).map(async (slug): Promise<ShelfEntry> => {
        const { length } = await usage(finalDir(slug));
        return { slug, state: "ready", bytes: length, lastUsedMs: await timeOf(slug, finalDir(slug)) };
      });
      const partial = (await folders(join(dir, ".incoming"))).map(async (slug): Promise<ShelfEntry> => {
        const { length } = await usage(incomingDir(slug));
        const bytes = Math.max(length, await reserved(slug));
        return { slug, state: "partial", bytes, lastUsedMs: await timeOf(slug, incomingDir(slug)) };
      });
      return Promise.all([...ready, ...partial]);
    },
    arrivedBytes: async (slug) => (await usage(incomingDir(slug))).allocated,
    discard: async (slug) => {
      // Out of sight first: what has a name is whole.
      const doomed = join(dir, ".incoming", `.${slug}`);
      await rm(doomed, { recursive: true, force: true });
      await rename(finalDir(slug), doomed).catch((error) => {
        if (!isMissing(error)) throw error;
      });
      await rm(doomed, { recursive: true, force: true });
      await rm(incomingDir(slug), { recursive: true, force: true });
      await rm(reservationPath(slug), { force: true });
    },
  };
}

async function folders(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Lengths of all files below a folder, and the disk space they take so far. */
async function usage(dir: string): Promise<{ length: number; allocated: number }> {
  let length = 0;
  let allocated = 0;
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((error) => {
    if (isMissing(error)) return [];
    throw error;
  });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    // Files come and go while another process works.
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    length += found?.size ?? 0;
    allocated += found === undefined ? 0 : Math.min(found.size, found.blocks * 512);
  }
  return { length, allocated };
}

const modifiedMs = async (path: string) => (await stat(path).catch(() => undefined))?.mtimeMs;
