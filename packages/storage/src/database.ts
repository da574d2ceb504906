/**
 * A SQLite file with migrations. What a transaction acknowledged survives `kill -9` and power loss
 * (write-ahead log, synchronous FULL).
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { storageError } from "./errors.ts";

/** Applied once, in the order given; never edit one that was released. */
export type Migration = { readonly id: string; readonly sql: string };

export type Row = Record<string, SQLOutputValue>;

export type Database = {
  /** All rows of a query. Statements are prepared once and kept. */
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /** The first row, or undefined. */
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  /** Runs a statement; returns how many rows it changed and the last inserted rowid. */
  run(sql: string, ...values: SQLInputValue[]): { changes: number; lastInsertRowid: number | bigint };
  /** Runs `work` atomically; nested calls join the outer transaction. `work` must not wait for anything. */
  transaction<T>(work: () => T): T;
  close(): void;
};

/**
 * Opens or creates the database and applies the migrations it lacks.
 *
 * @param path a file, or ":memory:"
 * @throws STORAGE_TOO_NEW if the file has a migration this program does not know
 */
export function openDatabase(path: string, migrations: readonly Migration[]): Database {
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
  const connection = new DatabaseSync(path);
  connection.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;",
  );
  const statements = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = connection.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  let depth = 0;
  const transaction = <T>(work: () => T): T => {
    if (depth > 0) return work();
    connection.exec("BEGIN IMMEDIATE");
    depth = 1;
    try {
      const result = work();
      connection.exec("COMMIT");
      return result;
    } catch (error) {
      connection.exec("ROLLBACK");
      throw error;
    } finally {
      depth = 0;
    }
  };
  migrate(connection, path, migrations, transaction);
  return {
    all: (sql, ...values) => prepare(sql).all(...values) as Row[],
    get: (sql, ...values) => prepare(sql).get(...values) as Row | undefined,
    run: (sql, ...values) => {
      const { changes, lastInsertRowid } = prepare(sql).run(...values);
      return { changes: Number(changes), lastInsertRowid };
    },
    transaction,
    close: () => connection.close(),
  };
}

function migrate(
  connection: DatabaseSync,
  path: string,
  migrations: readonly Migration[],
  transaction: (work: () => void) => void,
): void {
  connection.exec("CREATE TABLE IF NOT EXISTS migrations (id TEXT PRIMARY KEY) STRICT");
  const applied = new Set(
    connection
      .prepare("SELECT id FROM migrations")
      .all()
      .map((row) => String(row.id)),
  );
  const unknown = [...applied].find((id) => !migrations.some((migration) => migration.id === id));
  if (unknown !== undefined) throw storageError("STORAGE_TOO_NEW", { path, migration: unknown });
  for (const { id, sql } of migrations) {
    if (applied.has(id)) continue;
    transaction(() => {
      connection.exec(sql);
      connection.prepare("INSERT INTO migrations (id) VALUES (?)").run(id);
    });
  }
}
