/** The block clock as the node knows it: its own clock, moved ahead if the chain's blocks are ahead of it. */
import type { Clock } from "@hydrogen/std";

export type ChainClock = {
  /** Tells it a block's timestamp. */
  observe(timestampSec: number): void;
  /** The earliest timestamp the next block may have, in seconds, with fractions. */
  nowSec(): number;
  /** What the node's own clock will show when the block clock shows `sec`. */
  toMs(sec: number): number;
};

export function createChainClock(clock: Clock): ChainClock {
  let aheadMs = 0;
  return {
    observe: (timestampSec) => {
      aheadMs = Math.max(aheadMs, timestampSec * 1000 - clock.nowMs());
    },
    nowSec: () => (clock.nowMs() + aheadMs) / 1000,
    toMs: (sec) => sec * 1000 - aheadMs,
  };
}
