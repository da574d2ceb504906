/** Repeatable randomness for tests (mulberry32). */
export type Random = {
  /** 0 ≤ value < limit, an integer. */
  below(limit: number): number;
  bytes(length: number): Uint8Array;
  bigint(bits: number): bigint;
  pick<T>(items: readonly T[]): T;
};

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (limit: number) => Math.floor((next() / 0x1_0000_0000) * limit);
  return {
    below,
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
    bigint(bits) {
      let value = 0n;
      for (let i = 0; i < bits; i += 32) value = (value << 32n) | BigInt(next());
      return value & ((1n << BigInt(bits)) - 1n);
    },
    pick: (items) => items[below(items.length)]!,
  };
}
