/** Deletes the result files and the args of rounds that nobody can ask about any more. */
import type { Clock } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { Logger } from "@hydrogen/telemetry";
import type { Journal } from "./journal.ts";
import { deleteFiles } from "./round-files.ts";

/** Far beyond any reorganisation and any deadline. */
const keepMs = 24 * 3_600_000;
const everyMs = 3_600_000;

export function createJanitor(deps: { journal: Journal; blobs: BlobStore; clock: Clock; log: Logger }) {
  const { journal, blobs, clock, log } = deps;
  const sweep = async (): Promise<void> => {
    for (const round of journal.withOldFiles(clock.nowMs() - keepMs)) {
      await deleteFiles(blobs, round);
      journal.noteFilesDeleted(round);
    }
  };
  return {
    sweep,
    run: async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        await sweep().catch((error) => log.warn("could not delete what is left of old rounds", { error }));
        await clock.sleep(everyMs, signal).catch(() => undefined);
      }
    },
  };
}
