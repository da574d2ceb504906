/** What the store's tests share: a hub, stores on it, repositories of new names. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type Clock, systemClock } from "@hydrogen/std";
import { createModelStore, type ModelStore, type ModelStoreDeps, type ModelStoreOptions } from "../store.ts";
import { type Repo, startHub, type TestHub } from "./hub.ts";

export type Bench = {
  root: string;
  hub: TestHub;
  /** Pauses between tries take no time, and are written down here. */
  pausesMs: number[];
  newStore(
    options?: Partial<ModelStoreOptions>,
    deps?: Partial<ModelStoreDeps>,
  ): { dir: string; store: ModelStore };
  /** Its id. */
  newRepo(repo: Repo): string;
  /** Puts a file on the file host; its address. */
  newAddress(body: Buffer, headers?: Record<string, string>): string;
};

export async function createBench(): Promise<Bench> {
  const root = await mkdtemp(join(tmpdir(), "hydrogen-store-"));
  const hub = await startHub();
  const stores: ModelStore[] = [];
  after(async () => {
    for (const store of stores) store.close();
    await hub.close();
    await rm(root, { recursive: true, force: true });
  });
  let count = 0;
  const pausesMs: number[] = [];
  const clock: Clock = {
    nowMs: systemClock.nowMs,
    sleep: (ms, signal) => {
      pausesMs.push(ms);
      return systemClock.sleep(1, signal);
    },
  };
  return {
    root,
    hub,
    pausesMs,
    newStore: (options = {}, deps = {}) => {
      const dir = options.dir ?? join(root, String(count++));
      const store = createModelStore(
        { dir, endpoint: hub.origin, trustedOrigins: [hub.filesOrigin], minFreeBytes: 0, ...options },
        { clock, ...deps },
      );
      stores.push(store);
      return { dir, store };
    },
    newRepo: (repo) => {
      const id = `Owner/Model-${count++}`;
      hub.repos.set(id, repo);
      return id;
    },
    newAddress: (body, headers) => {
      const path = `/loose/${count++}`;
      hub.loose.set(path, { body, ...(headers ? { headers } : {}) });
      return `${hub.filesOrigin}${path}`;
    },
  };
}
