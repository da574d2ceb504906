/**
 * World state in SQLite: each account and storage slot once per block that changed it. Reading at block n takes the newest
 * version not after n; undoing a block deletes its versions. There is no trie, hence no proofs.
 */
import type { Database } from "@hydrogen/storage";
import { bytesOf } from "./format.ts";

export type AccountRecord = {
  readonly nonce: bigint;
  readonly balanceWei: bigint;
  readonly codeHash: Uint8Array;
};

/** What a block changed. Keys are hexadecimal without prefix; `undefined` is a deleted account. */
export type StateChanges = {
  readonly accounts: ReadonlyMap<string, AccountRecord | undefined>;
  readonly slots: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>;
  readonly codes: ReadonlyMap<string, Uint8Array>;
};

/** State as of one block. */
export type StateView = {
  account(addressKey: string): AccountRecord | undefined;
  slot(addressKey: string, slotKey: string): Uint8Array;
  code(codeHashKey: string): Uint8Array;
};

export type StateStore = {
  viewAt(block: number): StateView;
  /** Must run inside the transaction that also writes the block. */
  write(block: number, changes: StateChanges): void;
  undoAfter(block: number): void;
};

const empty = new Uint8Array(0);
const key = (text: string): Uint8Array => Buffer.from(text, "hex");

export function createStateStore(db: Database): StateStore {
  return {
    viewAt: (block) => ({
      account: (addressKey) => {
        const row = db.get(
          "SELECT exist, nonce, balance, code_hash FROM accounts WHERE address = ? AND block <= ? ORDER BY block DESC LIMIT 1",
          key(addressKey),
          block,
        );
        if (row === undefined || row.exist === 0) return undefined;
        return {
          nonce: BigInt(String(row.nonce)),
          balanceWei: BigInt(String(row.balance)),
          codeHash: bytesOf(row.code_hash),
        };
      },
      slot: (addressKey, slotKey) => {
        const row = db.get(
          "SELECT value FROM slots WHERE address = ? AND slot = ? AND block <= ? ORDER BY block DESC LIMIT 1",
          key(addressKey),
          key(slotKey),
          block,
        );
        return row === undefined ? empty : bytesOf(row.value);
      },
      code: (codeHashKey) => {
        const row = db.get("SELECT code FROM codes WHERE hash = ?", key(codeHashKey));
        return row === undefined ? empty : bytesOf(row.code);
      },
    }),
    write: (block, changes) => {
      for (const [addressKey, record] of changes.accounts) {
        db.run(
          "INSERT INTO accounts (address, block, exist, nonce, balance, code_hash) VALUES (?, ?, ?, ?, ?, ?)",
          key(addressKey),
          block,
          record === undefined ? 0 : 1,
          String(record?.nonce ?? 0n),
          String(record?.balanceWei ?? 0n),
          record?.codeHash ?? empty,
        );
      }
      for (const [addressKey, slots] of changes.slots) {
        for (const [slotKey, value] of slots) {
          db.run(
            "INSERT INTO slots (address, slot, block, value) VALUES (?, ?, ?, ?)",
            key(addressKey),
            key(slotKey),
            block,
            value,
          );
        }
      }
      for (const [codeHashKey, code] of changes.codes) {
        db.run("INSERT OR IGNORE INTO codes (hash, code) VALUES (?, ?)", key(codeHashKey), code);
      }
    },
    undoAfter: (block) => {
      db.run("DELETE FROM accounts WHERE block > ?", block);
      db.run("DELETE FROM slots WHERE block > ?", block);
    },
  };
}

/** A view of the newest state that remembers what it read. `apply` takes over what a block wrote. */
export type LatestState = StateView & { apply(changes: StateChanges): void; forget(): void };

/** @param maxEntries accounts and slots kept; when there are more, all are forgotten and read anew. */
export function createLatestState(store: StateStore, maxEntries = 100_000): LatestState {
  const view = store.viewAt(Number.MAX_SAFE_INTEGER);
  const accounts = new Map<string, AccountRecord | undefined>();
  const slots = new Map<string, Uint8Array>();
  const codes = new Map<string, Uint8Array>();
  const limit = (cache: Map<string, unknown>, max: number) => {
    if (cache.size > max) cache.clear();
  };
  return {
    account: (addressKey) => {
      if (accounts.has(addressKey)) return accounts.get(addressKey);
      const record = view.account(addressKey);
      limit(accounts, maxEntries);
      accounts.set(addressKey, record);
      return record;
    },
    slot: (addressKey, slotKey) => {
      const cacheKey = addressKey + slotKey;
      let value = slots.get(cacheKey);
      if (value === undefined) {
        value = view.slot(addressKey, slotKey);
        limit(slots, maxEntries);
        slots.set(cacheKey, value);
      }
      return value;
    },
    code: (codeHashKey) => {
      let code = codes.get(codeHashKey);
      if (code === undefined) {
        code = view.code(codeHashKey);
        limit(codes, 256);
        codes.set(codeHashKey, code);
      }
      return code;
    },
    apply: (changes) => {
      for (const [addressKey, record] of changes.accounts) accounts.set(addressKey, record);
      for (const [addressKey, changed] of changes.slots) {
        for (const [slotKey, value] of changed) slots.set(addressKey + slotKey, value);
      }
      limit(accounts, maxEntries);
      limit(slots, maxEntries);
    },
    forget: () => {
      accounts.clear();
      slots.clear();
    },
  };
}
