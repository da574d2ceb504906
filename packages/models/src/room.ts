/** Makes room for a model: within the quota, and on the disk. Unused models go, the longest unused first. */
import { statfs } from "node:fs/promises";
import type { Clock } from "@hydrogen/std";
import { modelError } from "./errors.ts";
import { lock, type Release, tryLock } from "./locks.ts";
import type { Shelf, ShelfEntry } from "./shelf.ts";

export type RoomOptions = {
  /** Without one nothing is ever evicted. */
  quotaBytes: number | undefined;
  /** What must stay free on the disk. */
  minFreeBytes: number;
  clock: Clock;
  /** Bytes free on the disk of a directory. */
  freeBytes: (dir: string) => Promise<number>;
};

export const systemFreeBytes = async (dir: string): Promise<number> => {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
};

/**
 * Reserves room for a model whose lock the caller holds alone. Evicts nothing unless that is enough.
 * @returns the slugs of what was evicted
 * @throws MODEL_QUOTA_EXCEEDED, MODEL_DISK_FULL; the signal's reason
 */
export async function makeRoom(
  shelf: Shelf,
  slug: string,
  bytes: number,
  { quotaBytes, minFreeBytes, clock, freeBytes }: RoomOptions,
  signal?: AbortSignal,
): Promise<string[]> {
  if (quotaBytes !== undefined && bytes > quotaBytes)
    throw modelError("MODEL_QUOTA_EXCEEDED", { neededBytes: bytes, quotaBytes });
  // One process at a time counts and reserves; two could each find the same room.
  const release = await lock(shelf.lockPath(".room"), "exclusive", { clock, signal });
  try {
    const others = (await shelf.entries()).filter((entry) => entry.slug !== slug);
    const usedBytes = others.reduce((sum, entry) => sum + entry.bytes, 0);
    const missingQuota = quotaBytes === undefined ? 0 : usedBytes + bytes - quotaBytes;
    const toFetchBytes = bytes - Math.min(bytes, await shelf.arrivedBytes(slug));
    const missingDisk = toFetchBytes + minFreeBytes - (await freeBytes(shelf.dir));
    const short = () =>
      missingQuota >= missingDisk && quotaBytes !== undefined
        ? modelError("MODEL_QUOTA_EXCEEDED", { neededBytes: bytes, usedBytes, quotaBytes })
        : modelError("MODEL_DISK_FULL", { neededBytes: toFetchBytes, missingBytes: missingDisk });
    if (missingDisk > 0 && quotaBytes === undefined) throw short();
    const evicted = await evict(shelf, others, Math.max(missingQuota, missingDisk), short);
    await shelf.reserve(slug, bytes);
    return evicted;
  } finally {
    release();
  }
}

async function evict(
  shelf: Shelf,
  entries: readonly ShelfEntry[],
  missingBytes: number,
  short: () => Error,
): Promise<string[]> {
  const held: { slug: string; release: Release }[] = [];
  try {
    let gainedBytes = 0;
    for (const { slug, bytes } of entries.toSorted((a, b) => a.lastUsedMs - b.lastUsedMs)) {
      if (gainedBytes >= missingBytes) break;
      // Whoever uses a model holds its lock; whatever can be locked alone is unused, and cannot come into use now.
      const release = tryLock(shelf.lockPath(slug), "exclusive");
      if (release === undefined) continue;
      held.push({ slug, release });
      gainedBytes += bytes;
    }
    if (gainedBytes < missingBytes) throw short();
    for (const { slug } of held) await shelf.discard(slug);
    return held.map(({ slug }) => slug);
  } finally {
    for (const { release } of held) release();
  }
}
