/** Waiting for something that others bring about. */
import type { Clock } from "@hydrogen/std";

/** Starts something and waits for its outcome, an abort or the time limit. */
export async function settlement<T>(
  outcome: PromiseWithResolvers<T>,
  options: {
    clock: Clock;
    signals: (AbortSignal | undefined)[];
    timeoutMs?: number | undefined;
    onTimeout?: () => Error;
  },
  start: () => void,
): Promise<T> {
  const { clock, timeoutMs, onTimeout } = options;
  const over = new AbortController();
  const signals = options.signals.filter((signal) => signal !== undefined);
  const onAbort = () => outcome.reject(signals.find(({ aborted }) => aborted)?.reason);
  for (const signal of signals) {
    signal.throwIfAborted();
    signal.addEventListener("abort", onAbort, { once: true, signal: over.signal });
  }
  if (timeoutMs !== undefined)
    clock.sleep(timeoutMs, over.signal).then(
      () => outcome.reject(onTimeout?.()),
      () => undefined,
    );
  start();
  try {
    return await outcome.promise;
  } finally {
    over.abort();
  }
}
