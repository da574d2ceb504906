/** What the sender must not forget: every transaction it ever signed, under the caller's key. */
import type { SerializedError } from "@hydrogen/std";
import type { Address, Hex } from "viem";
import type { Receipt } from "./receipt.ts";
import type { Head } from "./rpc.ts";

/** One signed transaction. A stuck one is replaced by another of the same nonce; at most one of them is mined. */
export type Attempt = {
  readonly hash: Hex;
  readonly raw: Hex;
  readonly nonce: number;
  readonly maxFeeWei: bigint;
  readonly tipWei: bigint;
  readonly signedMs: number;
  readonly signedAtBlock: bigint;
};

export type OutboxRecord = {
  readonly key: string;
  readonly name: string;
  readonly to: Address | null;
  readonly data: Hex;
  readonly valueWei: bigint;
  readonly gas: bigint;
  /** Of the newest attempt. */
  readonly nonce: number;
  /** open: not in the chain yet. mined: in it, may be reorganised away. final: deep enough to be forgotten. */
  readonly state: "open" | "mined" | "final";
  /** Oldest first, never empty. */
  readonly attempts: readonly Attempt[];
  readonly receipt?: Receipt;
  /** Why it reverted. */
  readonly failure?: SerializedError;
};

export type Outbox = {
  get(key: string): OutboxRecord | undefined;
  /** Records that are not final, by nonce. */
  pending(): OutboxRecord[];
  /** Inserts or replaces by key; durable when it returns. */
  put(record: OutboxRecord): void;
};

/** Opens the outbox of one account on one chain; `scope` names both. A chain that was reset is another chain. */
export type OutboxStore = (scope: string) => Outbox;

export function newestAttempt(record: OutboxRecord): Attempt {
  return record.attempts.at(-1)!;
}

/** How many blocks hold the transaction: 1 when it is in the head, 0 when it is in none. */
export function depthOf(record: OutboxRecord, head: Head): number {
  return record.receipt === undefined ? 0 : Math.max(0, Number(head.number - record.receipt.blockNumber) + 1);
}

/** For programs that need no durability, such as a page in a browser. */
export function memoryOutbox(): OutboxStore {
  const scopes = new Map<string, Map<string, OutboxRecord>>();
  return (scope) => {
    const records = scopes.get(scope) ?? new Map<string, OutboxRecord>();
    scopes.set(scope, records);
    return {
      get: (key) => records.get(key),
      pending: () =>
        [...records.values()].filter((record) => record.state !== "final").sort((a, b) => a.nonce - b.nonce),
      put: (record) => void records.set(record.key, record),
    };
  };
}
