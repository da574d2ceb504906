/** Passes progress on, at most so often: of what came meanwhile only the latest counts. */
import type { Clock } from "@hydrogen/std";

export type ProgressThrottle<T> = { report(progress: T): void; stop(): void };

/** @param post may fail: progress is a courtesy */
export function throttleProgress<T>(
  post: (progress: T, signal: AbortSignal) => Promise<unknown>,
  options: { clock: Clock; everyMs: number },
): ProgressThrottle<T> {
  const { clock, everyMs } = options;
  const stopping = new AbortController();
  let latest: T | undefined;
  let posting = false;
  const drain = async () => {
    while (latest !== undefined && !stopping.signal.aborted) {
      const progress = latest;
      latest = undefined;
      const started = clock.nowMs();
      await post(progress, stopping.signal).catch(() => undefined);
      await clock
        .sleep(Math.max(0, everyMs - (clock.nowMs() - started)), stopping.signal)
        .catch(() => undefined);
    }
    posting = false;
  };
  return {
    report: (progress) => {
      latest = progress;
      if (posting || stopping.signal.aborted) return;
      posting = true;
      void drain();
    },
    stop: () => stopping.abort(),
  };
}
