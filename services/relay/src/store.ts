/**
 * What the relay remembers. The chain's part is the task events as they were emitted, keyed by their place in the
 * chain: writing one twice changes nothing, and a reorganisation deletes rows above a block and nothing else.
 * The applications' and nodes' part is keyed by content, so it finds its task again after a reorganisation.
 */
import type { Hex } from "@hydrogen/std";
import type { Database, Migration } from "@hydrogen/storage";
import type { StoredEvent } from "./task-view.ts";

export const migrations: readonly Migration[] = [
  {
    id: "0001-tasks",
    sql: `
      CREATE TABLE task_events (
        block_number INTEGER NOT NULL,
        log_index INTEGER NOT NULL,
        task_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        args TEXT NOT NULL,
        PRIMARY KEY (block_number, log_index)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX task_events_by_task ON task_events (task_id, block_number, log_index);
      CREATE TABLE task_args (
        task_hash TEXT NOT NULL,
        creator TEXT NOT NULL,
        uploaded_at_ms INTEGER NOT NULL,
        PRIMARY KEY (task_hash, creator)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE result_files (
        task_id INTEGER NOT NULL,
        files_digest TEXT NOT NULL,
        image_num INTEGER NOT NULL,
        keccak256 TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        uploaded_at_ms INTEGER NOT NULL,
        PRIMARY KEY (task_id, files_digest, image_num)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX result_files_by_content ON result_files (keccak256);
    `,
  },
];

export type ResultFile = { imageNum: number; keccak256: Hex; sha256: Hex; sizeBytes: number };

export type Store = ReturnType<typeof createStore>;

export function createStore(db: Database) {
  return {
    /** Idempotent. */
    addEvents: (events: readonly StoredEvent[]): void =>
      db.transaction(() => {
        for (const { blockNumber, logIndex, taskId, name, args } of events) {
          db.run(
            "INSERT OR REPLACE INTO task_events (block_number, log_index, task_id, name, args) VALUES (?, ?, ?, ?, ?)",
            blockNumber,
            logIndex,
            taskId,
            name,
            JSON.stringify(args),
          );
        }
      }),
    dropEventsAbove: (blockNumber: number): number =>
      db.run("DELETE FROM task_events WHERE block_number > ?", blockNumber).changes,
    eventsOf: (taskId: number): StoredEvent[] =>
      db
        .all("SELECT * FROM task_events WHERE task_id = ? ORDER BY block_number, log_index", taskId)
        .map((row) => ({
          taskId,
          blockNumber: Number(row.block_number),
          logIndex: Number(row.log_index),
          name: String(row.name),
          args: JSON.parse(String(row.args)),
        })),

    /** Args that are used again live on from then. */
    addArgs: (taskHash: Hex, creator: Hex, nowMs: number): void =>
      void db.run("INSERT OR REPLACE INTO task_args VALUES (?, ?, ?)", taskHash, creator, nowMs),
    hasArgs: (taskHash: Hex, creator: Hex): boolean =>
      db.get("SELECT 1 FROM task_args WHERE task_hash = ? AND creator = ?", taskHash, creator) !== undefined,

    /** All files of a result or none. Idempotent. */
    addResult: (taskId: number, filesDigest: Hex, files: readonly ResultFile[], nowMs: number): void =>
      db.transaction(() => {
        for (const { imageNum, keccak256, sha256, sizeBytes } of files) {
          db.run(
            "INSERT OR IGNORE INTO result_files VALUES (?, ?, ?, ?, ?, ?, ?)",
            taskId,
            filesDigest,
            imageNum,
            keccak256,
            sha256,
            sizeBytes,
            nowMs,
          );
        }
      }),
    /** Every file uploaded for a task, the result that came first first. */
    resultFiles: (taskId: number): (ResultFile & { filesDigest: Hex })[] =>
      db
        .all(
          "SELECT * FROM result_files WHERE task_id = ? ORDER BY uploaded_at_ms, files_digest, image_num",
          taskId,
        )
        .map((row) => ({
          filesDigest: row.files_digest as Hex,
          imageNum: Number(row.image_num),
          keccak256: row.keccak256 as Hex,
          sha256: row.sha256 as Hex,
          sizeBytes: Number(row.size_bytes),
        })),
    /** Forgets the uploads before this time; returns the hashes of what may be garbage now. */
    dropUploadsBefore: (timeMs: number): { args: Hex[]; files: Hex[] } =>
      db.transaction(() => ({
        args: db
          .all("DELETE FROM task_args WHERE uploaded_at_ms < ? RETURNING task_hash", timeMs)
          .map((row) => row.task_hash as Hex),
        files: db
          .all("DELETE FROM result_files WHERE uploaded_at_ms < ? RETURNING keccak256", timeMs)
          .map((row) => row.keccak256 as Hex),
      })),
    /** Whether any row still speaks of these bytes. */
    uses: (kind: "args" | "files", keccak256: Hex): boolean =>
      db.get(
        kind === "args"
          ? "SELECT 1 FROM task_args WHERE task_hash = ?"
          : "SELECT 1 FROM result_files WHERE keccak256 = ?",
        keccak256,
      ) !== undefined,
  };
}
