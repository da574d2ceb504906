/** Retrying, mutual exclusion and waiting for a condition; all of it can be aborted. */
import { isHydrogenError } from "./errors.ts";
import type { Clock } from "./time.ts";

export type RetryOptions = {
  clock: Clock;
  signal?: AbortSignal | undefined;
  /** Tries in all; default 5. */
  attempts?: number;
  /** First pause; each further one doubles up to `maxDelayMs`. Defaults 200 and 5,000. */
  delayMs?: number;
  maxDelayMs?: number;
  /** Default: errors of ours say so themselves, anything else is not tried again. */
  isRetryable?: (error: unknown) => boolean;
  onRetry?: (error: unknown, attempt: number, delayMs: number) => void;
};

/** Calls `action` until it succeeds, fails for good, runs out of attempts, or the signal aborts. */
export async function retry<T>(action: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { clock, signal, attempts = 5, delayMs = 200, maxDelayMs = 5_000 } = options;
  const isRetryable = options.isRetryable ?? ((error) => isHydrogenError(error) && error.retryable);
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await action(attempt);
    } catch (error) {
      if (signal?.aborted || attempt >= attempts || !isRetryable(error)) throw error;
      const pauseMs = Math.min(maxDelayMs, delayMs * 2 ** (attempt - 1));
      options.onRetry?.(error, attempt, pauseMs);
      await clock.sleep(pauseMs, signal);
    }
  }
}

/** Runs one critical section at a time, in the order asked. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(section: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(section, section);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** Polls `probe` until it returns something other than undefined or false. */
export async function waitFor<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { clock: Clock; signal?: AbortSignal | undefined; intervalMs?: number },
): Promise<T> {
  for (;;) {
    options.signal?.throwIfAborted();
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    await options.clock.sleep(options.intervalMs ?? 50, options.signal);
  }
}

/** A promise with its handles outside. */
export function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
} {
  return Promise.withResolvers<T>();
}
