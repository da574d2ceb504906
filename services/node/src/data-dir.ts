/** Where the node keeps things, and the lock that keeps a second node out. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { chainMigrations } from "@hydrogen/chain/node";
import {
  type BlobStore,
  createBlobStore,
  type Database,
  lockDirectory,
  openDatabase,
} from "@hydrogen/storage";
import type { NodeConfig } from "./config.ts";
import { journalMigrations } from "./journal.ts";

export type DataDir = {
  /** Journal and outbox of this network. */
  readonly db: Database;
  /** Result files of this network. */
  readonly blobs: BlobStore;
  /** Empty at start; for what the engine writes. */
  readonly scratchDir: string;
  /** What the engine measured or compiled; may be deleted at any time. */
  readonly engineCacheDir: string;
  readonly apiTokenPath: string;
  close(): void;
};

/** @throws STORAGE_IN_USE, STORAGE_TOO_NEW */
export function openDataDir(config: NodeConfig): DataDir {
  const { dataDir, addresses } = config;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const unlock = lockDirectory(dataDir);
  // Task ids mean something on one network only.
  const network = join(dataDir, `${addresses.chainId}-${addresses.task.slice(2, 10).toLowerCase()}`);
  const scratchDir = join(dataDir, "scratch");
  const engineCacheDir = join(dataDir, "engine-cache");
  try {
    rmSync(scratchDir, { recursive: true, force: true });
    for (const dir of [network, scratchDir, engineCacheDir]) mkdirSync(dir, { recursive: true });
    const db = openDatabase(join(network, "node.sqlite"), [...chainMigrations, ...journalMigrations]);
    return {
      db,
      blobs: createBlobStore(join(network, "results")),
      scratchDir,
      engineCacheDir,
      apiTokenPath: join(dataDir, "api-token"),
      close: () => {
        db.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
