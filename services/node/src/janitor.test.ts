import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createBlobStore, openDatabase } from "@hydrogen/storage";
import { silentLogger } from "@hydrogen/telemetry";
import { createJanitor } from "./janitor.ts";
import { createJournal, journalMigrations, type RoundKey } from "./journal.ts";
import { keepFiles, loadFiles } from "./round-files.ts";

test("deletes the files of rounds that ended a day ago, and only those", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-janitor-"));
  t.after(() => rmSync(dir, { recursive: true }));
  let now = 1_000;
  const clock = { nowMs: () => now, sleep: async () => undefined };
  const journal = createJournal(openDatabase(":memory:", journalMigrations), clock.nowMs);
  const blobs = createBlobStore(dir);
  const janitor = createJanitor({ journal, blobs, clock, log: silentLogger });
  const rounds = [1n, 2n].map((taskId): RoundKey => ({ taskId, round: 0, taskHash: `0x${"ab".repeat(32)}` }));
  const [ended, open] = rounds as [RoundKey, RoundKey];
  const picture = Uint8Array.of(1, 2, 3);
  for (const round of rounds) {
    journal.select(round);
    await keepFiles(blobs, round, [picture]);
  }
  const digest = await keepFiles(blobs, open, [picture]);
  const expected = { fileCount: 1, filesDigest: digest };
  journal.close(ended, "done");
  now += 23 * 3_600_000;
  await janitor.sweep();
  assert.deepEqual(await loadFiles(blobs, ended, expected), [picture]);
  now += 2 * 3_600_000;
  await janitor.sweep();
  await assert.rejects(loadFiles(blobs, ended, expected), { code: "NODE_FILES_LOST" });
  assert.deepEqual(await loadFiles(blobs, open, expected), [picture]);
  assert.deepEqual(journal.withOldFiles(now), []);
});

test("notices result files that were changed on disk", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-files-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const blobs = createBlobStore(dir);
  const round: RoundKey = { taskId: 1n, round: 0, taskHash: `0x${"ab".repeat(32)}` };
  const filesDigest = await keepFiles(blobs, round, [Uint8Array.of(1)]);
  await keepFiles(blobs, round, [Uint8Array.of(2)]);
  await assert.rejects(loadFiles(blobs, round, { fileCount: 1, filesDigest }), { code: "NODE_FILES_LOST" });
});
