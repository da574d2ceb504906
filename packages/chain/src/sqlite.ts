/** Outbox and cursor in the service's own SQLite database, so that they commit together with its own rows. */
import type { Database, Migration, Row } from "@hydrogen/storage";
import type { Hex } from "viem";
import { type Cursor, rememberedBlocks } from "./cursor.ts";
import type { OutboxRecord, OutboxStore } from "./outbox.ts";

/** Put these before your own: `openDatabase(path, [...chainMigrations, ...mine])`. */
export const chainMigrations: readonly Migration[] = [
  {
    id: "chain-1",
    sql: `
      CREATE TABLE chain_outbox (
        scope TEXT NOT NULL, key TEXT NOT NULL, nonce INTEGER NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (scope, key)
      ) STRICT;
      CREATE INDEX chain_outbox_pending ON chain_outbox (scope, nonce) WHERE state <> 'final';
      CREATE TABLE chain_cursor (
        name TEXT NOT NULL, number INTEGER NOT NULL, hash TEXT NOT NULL,
        PRIMARY KEY (name, number)
      ) STRICT, WITHOUT ROWID;`,
  },
];

/** Durable: what `put` wrote survives `kill -9`. */
export function sqliteOutbox(db: Database): OutboxStore {
  return (scope) => ({
    get: (key) => toRecord(db.get("SELECT record FROM chain_outbox WHERE scope = ? AND key = ?", scope, key)),
    pending: () =>
      db
        .all("SELECT record FROM chain_outbox WHERE scope = ? AND state <> 'final' ORDER BY nonce", scope)
        .flatMap((row) => toRecord(row) ?? []),
    put: (record) =>
      void db.run(
        `INSERT INTO chain_outbox (scope, key, nonce, state, record) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET nonce = excluded.nonce, state = excluded.state, record = excluded.record`,
        scope,
        record.key,
        record.nonce,
        record.state,
        JSON.stringify(record, packBigint),
      ),
  });
}

/** @param name tells this follower from others in the same database */
export function sqliteCursor(db: Database, name: string): Cursor {
  return {
    recent: () =>
      db
        .all("SELECT number, hash FROM chain_cursor WHERE name = ? ORDER BY number DESC", name)
        .map((row) => ({ number: BigInt(row.number as number), hash: row.hash as Hex })),
    advance: ({ number, hash }) => {
      db.run("INSERT INTO chain_cursor (name, number, hash) VALUES (?, ?, ?)", name, number, hash);
      db.run(
        `DELETE FROM chain_cursor WHERE name = ?1 AND number <=
         (SELECT number FROM chain_cursor WHERE name = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)`,
        name,
        rememberedBlocks,
      );
    },
    rollback: (toBlock) =>
      void db.run("DELETE FROM chain_cursor WHERE name = ? AND number > ?", name, toBlock),
    transaction: (work) => db.transaction(work),
  };
}

function toRecord(row: Row | undefined): OutboxRecord | undefined {
  return row === undefined ? undefined : JSON.parse(String(row.record), unpackBigint);
}

function packBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? { $bigint: value.toString() } : value;
}

function unpackBigint(_key: string, value: unknown): unknown {
  return typeof value === "object" && value !== null && "$bigint" in value
    ? BigInt(String(value.$bigint))
    : value;
}
