import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "@hydrogen/storage";
import { createJournal, journalMigrations, type RoundKey, roundId } from "./journal.ts";
import type { Outcome } from "./next-action.ts";

const key: RoundKey = { taskId: 12n, round: 2, taskHash: `0x${"ab".repeat(32)}` };
const outcome: Outcome = { kind: "result", result: "0x0102030405060708", filesDigest: "0x03", fileCount: 1 };

function inMemory(nowMs = () => 1000) {
  return createJournal(openDatabase(":memory:", journalMigrations), nowMs);
}

test("remembers a round across a restart, to the letter", () => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-journal-"));
  const path = join(dir, "journal.sqlite");
  const open = () => {
    const db = openDatabase(path, journalMigrations);
    return { db, journal: createJournal(db, () => 1000) };
  };
  const first = open();
  const args = '{"prompt": "ä \\u00e4 \u0000"}\n';
  first.journal.select(key);
  first.journal.setArgs(key, args);
  first.journal.setOutcome(key, outcome, "0x5a17");
  first.journal.mark(key, "uploaded");
  first.journal.setSetting("desired", "paused");
  first.db.close();
  const second = open();
  const [round] = second.journal.open();
  assert.equal(round?.args, args);
  assert.deepEqual(round?.outcome, outcome);
  assert.equal(round?.salt, "0x5a17");
  assert.equal(round?.uploadedAtMs, 1000);
  assert.equal(second.journal.setting("desired"), "paused");
  second.db.close();
  rmSync(dir, { recursive: true });
});

test("selecting a round again changes nothing", () => {
  const journal = inMemory();
  journal.select(key);
  journal.setArgs(key, "{}");
  journal.setOutcome(key, outcome, "0x5a17");
  const before = journal.get(key);
  assert.deepEqual(journal.select(key), before);
});

test("a closed round is no longer open, but opens again with its salt when the chain brings it back", () => {
  const journal = inMemory();
  journal.select(key);
  journal.setOutcome(key, outcome, "0x5a17");
  journal.close(key, "the task is not on the chain");
  assert.deepEqual(journal.open(), []);
  assert.equal(journal.recent(10)[0]?.ending, "the task is not on the chain");
  assert.equal(journal.select(key).salt, "0x5a17");
  assert.equal(journal.open().length, 1);
});

test("keeps apart what a reorganisation made of the same id and round", () => {
  const journal = inMemory();
  const other = { ...key, taskHash: `0x${"cd".repeat(32)}` } as const;
  journal.select(key);
  journal.setArgs(key, "one");
  assert.equal(journal.select(other).args, undefined);
  assert.notEqual(roundId(key), roundId(other));
});

test("notes when a stage was reached first", () => {
  let now = 1000;
  const journal = inMemory(() => now);
  journal.select(key);
  journal.mark(key, "committed");
  now = 2000;
  journal.mark(key, "committed");
  assert.equal(journal.get(key)?.committedAtMs, 1000);
});

test("names the rounds whose files may go, once", () => {
  const journal = inMemory();
  journal.select(key);
  journal.setArgs(key, "{}");
  assert.deepEqual(journal.withOldFiles(5000), []);
  journal.close(key, "done");
  assert.equal(journal.withOldFiles(5000).length, 1);
  assert.equal(journal.withOldFiles(1000).length, 0);
  journal.noteFilesDeleted(key);
  assert.deepEqual(journal.withOldFiles(5000), []);
  assert.equal(journal.get(key)?.ending, "done");
  assert.equal(journal.get(key)?.args, undefined);
  journal.select(key);
  journal.close(key, "done");
  assert.equal(journal.withOldFiles(5000).length, 1, "again, for a reorganisation brought it back");
});

test("never replaces an outcome the node may have committed to", () => {
  const journal = inMemory();
  journal.select(key);
  const failed: Outcome = {
    kind: "failed",
    failureClass: "execution",
    code: "ENGINE_PROCESS_CRASHED",
    retryAtSec: 5,
  };
  journal.setOutcome(key, failed, undefined);
  journal.setOutcome(key, outcome, "0x5a17");
  journal.setOutcome(key, { ...outcome, result: "0xffffffffffffffff" }, "0x0bad");
  assert.deepEqual(journal.get(key)?.outcome, outcome);
  assert.equal(journal.get(key)?.salt, "0x5a17");
  assert.equal(journal.get(key)?.attempts, 2);
});
