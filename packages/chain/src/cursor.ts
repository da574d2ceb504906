/** How far a follower has come, with the hashes that tell a reorganised chain. */
import type { Hex } from "viem";

export type BlockRef = { readonly number: bigint; readonly hash: Hex };

export type Cursor = {
  /** Blocks passed, the newest first; the first one is the position. Empty at the very start. */
  recent(): BlockRef[];
  /** Moves the position forward, in the current transaction. */
  advance(to: BlockRef): void;
  /** Forgets every block above this one, in the current transaction. */
  rollback(toBlock: bigint): void;
  /** Runs `work` atomically: the cursor and the caller's effects are kept together or not at all. */
  transaction(work: () => void): void;
};

/** How many blocks a cursor remembers: a reorg deeper than these starts over from the first block. */
export const rememberedBlocks = 256;

/** For programs that start from the chain's head or reread it each time, such as a page in a browser. */
export function memoryCursor(): Cursor {
  let refs: BlockRef[] = [];
  return {
    recent: () => [...refs],
    advance: (to) => {
      refs = [to, ...refs].slice(0, rememberedBlocks);
    },
    rollback: (toBlock) => {
      refs = refs.filter((ref) => ref.number <= toBlock);
    },
    transaction: (work) => {
      const before = refs;
      try {
        work();
      } catch (error) {
        refs = before;
        throw error;
      }
    },
  };
}
