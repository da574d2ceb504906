import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "./database.ts";

const notes = { id: "notes", sql: "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT" };

test("rolls back everything a failed transaction did, nested ones included", () => {
  const db = openDatabase(":memory:", [notes]);
  db.run("INSERT INTO notes (text) VALUES (?)", "kept");
  assert.throws(() =>
    db.transaction(() => {
      db.run("INSERT INTO notes (text) VALUES (?)", "lost");
      db.transaction(() => db.run("INSERT INTO notes (text) VALUES (?)", "lost too"));
      throw new Error("stop");
    }),
  );
  assert.deepEqual(
    db.all("SELECT text FROM notes").map((row) => row.text),
    ["kept"],
  );
  db.close();
});

test("applies each migration once and refuses a database from a newer version", () => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-db-"));
  const path = join(dir, "deep", "notes.sqlite");
  openDatabase(path, [notes]).close();
  const later = { id: "tags", sql: "CREATE TABLE tags (id INTEGER PRIMARY KEY) STRICT" };
  openDatabase(path, [notes, later]).close();
  assert.throws(() => openDatabase(path, [notes]), { code: "STORAGE_TOO_NEW" });
  rmSync(dir, { recursive: true });
});
