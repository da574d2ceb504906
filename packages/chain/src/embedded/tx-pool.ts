/**
 * Transactions that wait for a block, per sender and nonce. One whose nonce is ahead of its sender's waits until the gap fills.
 * Order of inclusion: nonces of a sender ascending, otherwise first come, first served.
 */

import type { SignedTransaction } from "./admission.ts";
import { serverError } from "./rpc-error.ts";
import { BASE_FEE_WEI } from "./rules.ts";
import { effectiveTipWei, maxFeeWei } from "./transaction-json.ts";

export type PooledTransaction = SignedTransaction & {
  readonly arrival: number;
  /** Written to disk, hence acknowledged: it may only leave the pool for a block or by replacement. */
  durable: boolean;
  /** In the block that is being executed. */
  inFlight: boolean;
  /** Tells who sent it that it is in a block (or durable), or why it never will be. */
  readonly settle: { resolve(): void; reject(error: unknown): void };
};

export type NonceOf = (senderKey: string) => bigint;

export type TxPool = {
  readonly size: number;
  get(hashKey: string): PooledTransaction | undefined;
  all(): Iterable<PooledTransaction>;
  /**
   * @returns the transaction this one replaced
   * @throws RpcError "already known", "replacement transaction underpriced", "txpool is full"
   */
  add(entry: PooledTransaction, stateNonce: bigint): PooledTransaction | undefined;
  remove(entry: PooledTransaction): void;
  /** The nonce the sender's next transaction should have. */
  pendingNonce(senderKey: string, stateNonce: bigint): bigint;
  isReady(entry: PooledTransaction, stateNonce: bigint): boolean;
  /** What can go into the next block, in order. */
  ready(nonceOf: NonceOf): PooledTransaction[];
};

export const MAX_POOLED = 16_384;
/** How far ahead of its sender a nonce may be. */
export const MAX_NONCE_GAP = 1_024n;

export function createTxPool(): TxPool {
  const byHash = new Map<string, PooledTransaction>();
  const bySender = new Map<string, Map<bigint, PooledTransaction>>();
  const pendingNonce = (senderKey: string, stateNonce: bigint): bigint => {
    const own = bySender.get(senderKey);
    let nonce = stateNonce;
    while (own?.has(nonce)) nonce++;
    return nonce;
  };
  const remove = (entry: PooledTransaction): void => {
    byHash.delete(entry.hashKey);
    const own = bySender.get(entry.senderKey);
    if (own?.get(entry.tx.nonce) === entry) own.delete(entry.tx.nonce);
    if (own?.size === 0) bySender.delete(entry.senderKey);
  };
  return {
    get size() {
      return byHash.size;
    },
    get: (hashKey) => byHash.get(hashKey),
    all: () => byHash.values(),
    add: (entry, stateNonce) => {
      const { tx, hashKey, senderKey } = entry;
      if (byHash.has(hashKey)) throw serverError("already known");
      if (tx.nonce > stateNonce + MAX_NONCE_GAP) throw serverError("nonce too far in the future");
      const rival = bySender.get(senderKey)?.get(tx.nonce);
      if (rival !== undefined) {
        if (rival.inFlight || !outbids(entry, rival))
          throw serverError("replacement transaction underpriced");
        remove(rival);
      } else if (byHash.size >= MAX_POOLED) {
        throw serverError("txpool is full");
      }
      byHash.set(hashKey, entry);
      let own = bySender.get(senderKey);
      if (own === undefined) {
        own = new Map();
        bySender.set(senderKey, own);
      }
      own.set(tx.nonce, entry);
      return rival;
    },
    remove,
    pendingNonce,
    isReady: (entry, stateNonce) => entry.tx.nonce < pendingNonce(entry.senderKey, stateNonce),
    ready: (nonceOf) => {
      const queues: PooledTransaction[][] = [];
      for (const [senderKey, own] of bySender) {
        const queue: PooledTransaction[] = [];
        for (let nonce = nonceOf(senderKey); own.has(nonce); nonce++) queue.push(own.get(nonce)!);
        if (queue.length > 0) queues.push(queue);
      }
      return mergeByArrival(queues);
    },
  };
}

/** A replacement has to raise both fees by a tenth, as with go-ethereum. */
function outbids(entry: PooledTransaction, rival: PooledTransaction): boolean {
  const raised = (of: (e: PooledTransaction) => bigint) => of(entry) * 10n >= of(rival) * 11n;
  return (
    raised(({ tx }) => maxFeeWei(tx)) &&
    raised(({ tx }) => effectiveTipWei(tx, 0n)) &&
    effectiveTipWei(entry.tx, BASE_FEE_WEI) >= 0n
  );
}

/** A transaction takes its turn at the latest arrival among itself and its sender's earlier nonces. */
function mergeByArrival(queues: readonly PooledTransaction[][]): PooledTransaction[] {
  const turns: { entry: PooledTransaction; turn: number }[] = [];
  for (const queue of queues) {
    let turn = 0;
    for (const entry of queue) {
      turn = Math.max(turn, entry.arrival);
      turns.push({ entry, turn });
    }
  }
  // The sort is stable, so a sender's nonces keep their order within a turn.
  return turns.sort((a, b) => a.turn - b.turn).map(({ entry }) => entry);
}
