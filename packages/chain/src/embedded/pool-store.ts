/** The waiting transactions that were acknowledged, on disk. A transaction leaves with the block that includes it. */
import type { Database } from "@hydrogen/storage";
import { bytesOf } from "./format.ts";
import type { PooledTransaction } from "./tx-pool.ts";

export type PoolStore = {
  save(entry: PooledTransaction): void;
  /** At no moment is neither of the two on disk. */
  replace(replaced: PooledTransaction, entry: PooledTransaction): void;
  forget(hash: Uint8Array): void;
  clear(): void;
  /** In order of arrival. */
  load(): Uint8Array[];
};

export function createPoolStore(db: Database): PoolStore {
  const save = (entry: PooledTransaction): void => {
    db.run("INSERT OR IGNORE INTO pool (hash, raw) VALUES (?, ?)", entry.tx.hash(), entry.raw);
  };
  const forget = (hash: Uint8Array): void => {
    db.run("DELETE FROM pool WHERE hash = ?", hash);
  };
  return {
    save,
    replace: (replaced, entry) =>
      db.transaction(() => {
        forget(replaced.tx.hash());
        save(entry);
      }),
    forget,
    clear: () => {
      db.run("DELETE FROM pool");
    },
    load: () => db.all("SELECT raw FROM pool ORDER BY arrival").map((row) => bytesOf(row.raw)),
  };
}
