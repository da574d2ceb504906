import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { cachedThreads, chooseThreads } from "./threads.ts";

const cacheDir = await mkdtemp(join(tmpdir(), "threads-"));
after(() => rm(cacheDir, { recursive: true }));

const timings = (oneMs: number, allMs: number) => async (threads: number) => (threads === 1 ? oneMs : allMs);

test("takes all cores when they are faster, and one when they are not", async () => {
  assert.equal(await chooseThreads(8, timings(100, 30)), 8);
  assert.equal(await chooseThreads(8, timings(10, 30)), 1);
  assert.equal(await chooseThreads(8, timings(31, 30)), 1, "a small gain is not worth the cores");
});

test("does not measure where there is nothing to choose", async () => {
  const never = () => Promise.reject(new Error("measured"));
  assert.equal(await chooseThreads(1, never), 1);
  const measured: number[] = [];
  const slow = async (threads: number) => {
    measured.push(threads);
    return 5000;
  };
  assert.equal(await chooseThreads(4, slow), 4);
  assert.deepEqual(measured, [4]);
});

test("keeps a choice by its key", async () => {
  const directory = join(cacheDir, "new");
  assert.equal(await cachedThreads(directory, "a", async () => 3), 3);
  assert.equal(await cachedThreads(directory, "a", () => Promise.reject(new Error("asked again"))), 3);
  assert.equal(await cachedThreads(directory, "b", async () => 2), 2);
  assert.equal((await readdir(directory)).length, 2, "no drafts are left behind");
});

test("chooses anew when what was kept is damaged", async () => {
  await cachedThreads(cacheDir, "c", async () => 3);
  const [name] = (await readdir(cacheDir)).filter((file) => file.endsWith(".json"));
  for (const text of ["", "{}", '{"threads":0}', '{"threads":"2"}', "null"]) {
    await writeFile(join(cacheDir, name!), text);
    assert.equal(await cachedThreads(cacheDir, "c", async () => 5), 5);
  }
});

test("chooses each time without a directory", async () => {
  assert.equal(await cachedThreads(undefined, "d", async () => 1), 1);
  assert.equal(await cachedThreads(undefined, "d", async () => 2), 2);
});
