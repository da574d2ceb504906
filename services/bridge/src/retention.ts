/** Deletes the images and args of tasks that ended long ago. */
import type { Clock } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { Logger } from "@hydrogen/telemetry";
import { imageName } from "./task-runner.ts";
import type { TaskStore } from "./task-store.ts";

type RetentionDeps = { store: TaskStore; blobs: BlobStore; clock: Clock; log: Logger };

const dayMs = 86_400_000;
const sweepEveryMs = 3_600_000;

/** Returns how many tasks it forgot. Interrupted anywhere, the next sweep completes it. */
export async function sweep(retentionDays: number, deps: RetentionDeps): Promise<number> {
  const { store, blobs, clock } = deps;
  let forgotten = 0;
  for (;;) {
    const tasks = store.expired(clock.nowMs() - retentionDays * dayMs);
    if (tasks.length === 0) return forgotten;
    for (const { id, numImages } of tasks) {
      for (let index = 0; index < numImages; index++) await blobs.delete(imageName(id, index));
      store.forgetArgs(id);
      forgotten++;
    }
  }
}

/** Sweeps now and every hour until the signal aborts; resolves then. */
export async function keepSweeping(
  retentionDays: number,
  deps: RetentionDeps,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const forgotten = await sweep(retentionDays, deps);
      if (forgotten > 0) deps.log.info("deleted what is kept no longer", { tasks: forgotten });
    } catch (error) {
      deps.log.warn("cannot delete old results for the moment", { error });
    }
    await deps.clock.sleep(sweepEveryMs, signal).catch(() => undefined);
  }
}
