/**
 * The node's durable memory of its rounds. Whatever is written here survives `kill -9`; what the chain can tell
 * (committed, revealed, reported) is noted for the operator's history only and never decides anything.
 */
import type { Hex } from "@hydrogen/std";
import type { Database, Migration, Row } from "@hydrogen/storage";
import type { Outcome } from "./next-action.ts";

export const journalMigrations: readonly Migration[] = [
  {
    id: "node-journal-1",
    sql: `
      CREATE TABLE rounds (
        task_id TEXT NOT NULL,
        round INTEGER NOT NULL,
        task_hash TEXT NOT NULL,
        selected_at_ms INTEGER NOT NULL,
        args TEXT,
        outcome TEXT,
        salt TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        executed_at_ms INTEGER,
        committed_at_ms INTEGER,
        revealed_at_ms INTEGER,
        uploaded_at_ms INTEGER,
        reported_at_ms INTEGER,
        closed_at_ms INTEGER,
        ending TEXT,
        files_deleted_at_ms INTEGER,
        PRIMARY KEY (task_id, round, task_hash)
      ) STRICT;
      CREATE INDEX rounds_open ON rounds (selected_at_ms) WHERE closed_at_ms IS NULL;
      CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    `,
  },
];

/** The hash is part of it: after a reorganisation the same id and round may belong to another task. */
export type RoundKey = { readonly taskId: bigint; readonly round: number; readonly taskHash: Hex };

export type Stage = "committed" | "revealed" | "uploaded" | "reported";

export type Round = RoundKey & {
  readonly selectedAtMs: number;
  readonly args: string | undefined;
  readonly outcome: Outcome | undefined;
  /** Secret until the reveal. Set together with an outcome that may be committed to. */
  readonly salt: Hex | undefined;
  /** How often the task was run. */
  readonly attempts: number;
  readonly executedAtMs: number | undefined;
  readonly committedAtMs: number | undefined;
  readonly revealedAtMs: number | undefined;
  readonly uploadedAtMs: number | undefined;
  readonly reportedAtMs: number | undefined;
  readonly closedAtMs: number | undefined;
  readonly ending: string | undefined;
};

export type Journal = {
  /** The rounds that may still need something, oldest first. */
  open(): Round[];
  /** The latest rounds, newest first. */
  recent(limit: number): Round[];
  get(key: RoundKey): Round | undefined;
  /** Opens a round, or reopens it if a reorganisation brought it back. */
  select(key: RoundKey): Round;
  setArgs(key: RoundKey, args: string): void;
  /**
   * Stores what came of a run; `salt` goes with every outcome that is for the chain. Such an outcome is final: the
   * node may have committed to it, and a second salt would make that commitment worthless.
   */
  setOutcome(key: RoundKey, outcome: Outcome, salt: Hex | undefined): void;
  mark(key: RoundKey, stage: Stage): void;
  close(key: RoundKey, ending: string): void;
  /** Rounds that were closed before a time and still have their files. */
  withOldFiles(closedBeforeMs: number): Round[];
  /** Forgets the args too. */
  noteFilesDeleted(key: RoundKey): void;
  setting(name: string): string | undefined;
  setSetting(name: string, value: string): void;
};

const where = "WHERE task_id = ? AND round = ? AND task_hash = ?";

export function createJournal(db: Database, nowMs: () => number): Journal {
  const at = (key: RoundKey): [string, number, string] => [
    key.taskId.toString(),
    key.round,
    key.taskHash.toLowerCase(),
  ];
  const get = (key: RoundKey): Round | undefined => {
    const row = db.get(`SELECT * FROM rounds ${where}`, ...at(key));
    return row === undefined ? undefined : roundOf(row);
  };
  return {
    open: () =>
      db.all("SELECT * FROM rounds WHERE closed_at_ms IS NULL ORDER BY selected_at_ms").map(roundOf),
    recent: (limit) =>
      db.all("SELECT * FROM rounds ORDER BY selected_at_ms DESC, rowid DESC LIMIT ?", limit).map(roundOf),
    get,
    select: (key) => {
      db.run(
        `INSERT INTO rounds (task_id, round, task_hash, selected_at_ms) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET closed_at_ms = NULL, ending = NULL, files_deleted_at_ms = NULL`,
        ...at(key),
        nowMs(),
      );
      return get(key)!;
    },
    setArgs: (key, args) => void db.run(`UPDATE rounds SET args = ? ${where}`, args, ...at(key)),
    setOutcome: (key, outcome, salt) =>
      void db.run(
        `UPDATE rounds SET outcome = ?, salt = ?, executed_at_ms = ?, attempts = attempts + 1
         ${where} AND salt IS NULL`,
        JSON.stringify(outcome),
        salt ?? null,
        nowMs(),
        ...at(key),
      ),
    mark: (key, stage) =>
      void db.run(
        `UPDATE rounds SET ${stage}_at_ms = coalesce(${stage}_at_ms, ?) ${where}`,
        nowMs(),
        ...at(key),
      ),
    close: (key, ending) =>
      void db.run(`UPDATE rounds SET closed_at_ms = ?, ending = ? ${where}`, nowMs(), ending, ...at(key)),
    withOldFiles: (timeMs) =>
      db
        .all("SELECT * FROM rounds WHERE closed_at_ms < ? AND files_deleted_at_ms IS NULL", timeMs)
        .map(roundOf),
    noteFilesDeleted: (key) =>
      void db.run(`UPDATE rounds SET files_deleted_at_ms = ?, args = NULL ${where}`, nowMs(), ...at(key)),
    setting: (name) => {
      const row = db.get("SELECT value FROM settings WHERE name = ?", name);
      return row === undefined ? undefined : String(row.value);
    },
    setSetting: (name, value) =>
      void db.run(
        "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        name,
        value,
      ),
  };
}

/** The key as text: names jobs, transactions and the directory of the result files. */
export function roundId({ taskId, round, taskHash }: RoundKey): string {
  return `${taskId}-${round}-${taskHash.slice(2, 18).toLowerCase()}`;
}

function roundOf(row: Row): Round {
  const text = (value: Row[string] | undefined) => (value == null ? undefined : String(value));
  const number = (value: Row[string] | undefined) => (value == null ? undefined : Number(value));
  const outcome = text(row.outcome);
  return {
    taskId: BigInt(String(row.task_id)),
    round: Number(row.round),
    taskHash: String(row.task_hash) as Hex,
    selectedAtMs: Number(row.selected_at_ms),
    args: text(row.args),
    outcome: outcome === undefined ? undefined : (JSON.parse(outcome) as Outcome),
    salt: text(row.salt) as Hex | undefined,
    attempts: Number(row.attempts),
    executedAtMs: number(row.executed_at_ms),
    committedAtMs: number(row.committed_at_ms),
    revealedAtMs: number(row.revealed_at_ms),
    uploadedAtMs: number(row.uploaded_at_ms),
    reportedAtMs: number(row.reported_at_ms),
    closedAtMs: number(row.closed_at_ms),
    ending: text(row.ending),
  };
}
