/**
 * Locks that end with their process, however it ends: SQLite's own, on an empty file each. Whoever uses a model shares
 * its lock; whoever fetches, evicts or removes it holds it alone.
 */
import { existsSync, mkdirSync, utimesSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Clock } from "@hydrogen/std";

export type Release = () => void;

/** @returns undefined if somebody else is in the way */
export function tryLock(path: string, mode: "shared" | "exclusive"): Release | undefined {
  if (!existsSync(path)) mkdirSync(dirname(path), { recursive: true });
  const file = new DatabaseSync(path, { timeout: 0 });
  try {
    if (mode === "exclusive") file.exec("BEGIN EXCLUSIVE");
    else {
      file.exec("BEGIN");
      // Only reading takes the shared lock; it is held to the end of the transaction.
      file.prepare("SELECT count(*) FROM sqlite_master").get();
    }
  } catch (error) {
    file.close();
    if ((error as { errcode?: number }).errcode === sqliteBusy) return undefined;
    throw error;
  }
  return () => {
    if (file.isOpen) file.close();
  };
}

const sqliteBusy = 5;

/** Tries until the lock is free or the signal aborts. */
export async function lock(
  path: string,
  mode: "shared" | "exclusive",
  {
    clock,
    signal,
    onWait,
  }: { clock: Clock; signal?: AbortSignal | undefined; onWait?: (() => void) | undefined },
): Promise<Release> {
  for (;;) {
    signal?.throwIfAborted();
    const release = tryLock(path, mode);
    if (release !== undefined) return release;
    onWait?.();
    await clock.sleep(100, signal);
  }
}

/** The lock's time is when its model was last used. */
export function touch(path: string, nowMs: number): void {
  utimesSync(path, nowMs / 1000, nowMs / 1000);
}
