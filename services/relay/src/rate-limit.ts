/** Token buckets in memory: a key may spend `burst` at once and `perSec` in the long run. */
import type { Clock } from "@hydrogen/std";

export type RateLimit = { burst: number; perSec: number };

export type RateLimiter = {
  /** Takes one token; returns 0, or the seconds to wait until there is one. A refusal costs nothing. */
  take(key: string): number;
};

/** Keys beyond this are forgotten, the fullest (idle) buckets first: forgetting those changes nothing. */
const maxKeys = 10_000;

export function createRateLimiter({ burst, perSec }: RateLimit, { clock }: { clock: Clock }): RateLimiter {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  const sweep = (nowMs: number) => {
    for (const [key, { tokens, atMs }] of buckets) {
      if (tokens + ((nowMs - atMs) / 1000) * perSec >= burst) buckets.delete(key);
    }
    // Everything is busy: whoever was quiet longest goes. A map iterates in order of insertion.
    for (const key of buckets.keys()) {
      if (buckets.size < maxKeys) break;
      buckets.delete(key);
    }
  };
  return {
    take: (key) => {
      const nowMs = clock.nowMs();
      const last = buckets.get(key);
      const tokens =
        last === undefined ? burst : Math.min(burst, last.tokens + ((nowMs - last.atMs) / 1000) * perSec);
      if (tokens < 1) return (1 - tokens) / perSec;
      if (last === undefined && buckets.size >= maxKeys) sweep(nowMs);
      buckets.delete(key);
      buckets.set(key, { tokens: tokens - 1, atMs: nowMs });
      return 0;
    },
  };
}
