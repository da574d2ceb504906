/** Answers the same question for a while with the same answer; those who ask meanwhile share one attempt. */
import type { Clock } from "@hydrogen/std";

export type TtlCache = <T>(key: string, ask: () => Promise<T>) => Promise<T>;

const maxEntries = 1_000;

export function createTtlCache(ttlMs: number, { clock }: { clock: Clock }): TtlCache {
  const entries = new Map<string, { answer: Promise<unknown>; untilMs: number }>();
  return <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const nowMs = clock.nowMs();
    const known = entries.get(key);
    if (known !== undefined && nowMs < known.untilMs) return known.answer as Promise<T>;
    if (entries.size >= maxEntries) entries.clear();
    const answer = ask();
    const entry = { answer, untilMs: nowMs + ttlMs };
    entries.set(key, entry);
    // A failure is not an answer worth keeping.
    answer.catch(() => entries.get(key) === entry && entries.delete(key));
    return answer;
  };
}
