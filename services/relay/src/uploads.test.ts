import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { taskHash } from "@hydrogen/protocol";
import { systemClock } from "@hydrogen/std";
import { createBlobStore, openDatabase } from "@hydrogen/storage";
import { createStore, migrations } from "./store.ts";
import { createUploads } from "./uploads.ts";

const creator = "0x00000000000000000000000000000000000000aa";

test("args that are sent again live on from then, and are deleted when nobody has sent them for long enough", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-uploads-"));
  t.after(() => rmSync(dir, { recursive: true }));
  let nowMs = 0;
  const uploads = createUploads({
    store: createStore(openDatabase(":memory:", migrations)),
    blobs: createBlobStore(dir),
    clock: { ...systemClock, nowMs: () => nowMs },
  });
  const args = '{"prompt":"again"}';
  await uploads.putArgs(taskHash(args), creator, args);
  nowMs = 90;
  await uploads.putArgs(taskHash(args), creator, args);
  nowMs = 110;
  await uploads.expire(100);
  assert.equal(await uploads.getArgs(taskHash(args), creator), args);
  nowMs = 200;
  await uploads.expire(100);
  assert.equal(await uploads.getArgs(taskHash(args), creator), undefined);
});
