/**
 * Which nonces of signed requests were used. They have a database of their own that is not flushed with every
 * request: it survives `kill -9`, and after a power loss a request of the last five minutes could be sent again, which
 * is harmless because every request of the relay is idempotent.
 */
import type { Hex } from "@hydrogen/std";
import { type Database, openDatabase } from "@hydrogen/storage";

export type Nonces = {
  /** Whether the nonce is new to this signer; afterwards it is not, until it expires. */
  take(address: Hex, nonce: Hex, expirySec: number, nowSec: number): boolean;
  close(): void;
};

const migration = {
  id: "0001-nonces",
  sql: `
    CREATE TABLE nonces (
      address TEXT NOT NULL,
      nonce TEXT NOT NULL,
      expiry_sec INTEGER NOT NULL,
      PRIMARY KEY (address, nonce)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX nonces_by_expiry ON nonces (expiry_sec);
  `,
};

/** @param path a file, or ":memory:" */
export function openNonces(path: string): Nonces {
  const db: Database = openDatabase(path, [migration]);
  db.run("PRAGMA synchronous = NORMAL");
  return {
    take: (address, nonce, expirySec, nowSec) =>
      db.transaction(() => {
        db.run("DELETE FROM nonces WHERE expiry_sec < ?", nowSec);
        const row = [address.toLowerCase(), nonce.toLowerCase(), expirySec] as const;
        return db.run("INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)", ...row).changes === 1;
      }),
    close: () => db.close(),
  };
}
