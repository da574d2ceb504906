import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { utf8Encode } from "@hydrogen/std";
import { createBlobStore } from "./blobs.ts";

const dir = mkdtempSync(join(tmpdir(), "hydrogen-blobs-"));
after(() => rmSync(dir, { recursive: true }));
const root = (name: string) => join(dir, name);

async function* chunks(...parts: string[]) {
  for (const part of parts) yield utf8Encode(part);
}

async function contents(store: ReturnType<typeof createBlobStore>, name: string) {
  const blob = await store.read(name);
  return blob && (await text(blob.stream));
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test("keeps what the source yields, with its size and keccak256", async () => {
  const store = createBlobStore(root("keeps"));
  const info = await store.put("results/7/0.png", chunks("ab", "c"), { maxBytes: 3 });
  assert.deepEqual(info, {
    sizeBytes: 3,
    keccak256: "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
  });
  assert.equal((await store.read("results/7/0.png"))?.sizeBytes, 3);
  assert.equal(await contents(store, "results/7/0.png"), "abc");
  assert.equal(await contents(createBlobStore(root("keeps")), "results/7/0.png"), "abc");
});

test("keeps nothing of a blob that is too large, aborted, or whose source fails", async () => {
  const store = createBlobStore(root("nothing"));
  await assert.rejects(store.put("a", chunks("abc", "d"), { maxBytes: 3 }), {
    code: "STORAGE_BLOB_TOO_LARGE",
  });
  const controller = new AbortController();
  const aborting = async function* () {
    yield utf8Encode("a");
    controller.abort(new Error("enough"));
    yield utf8Encode("b");
  };
  await assert.rejects(store.put("a", aborting(), { maxBytes: 9, signal: controller.signal }), {
    message: "enough",
  });
  const failing = async function* () {
    yield utf8Encode("a");
    throw new Error("connection lost");
  };
  await assert.rejects(store.put("a", failing(), { maxBytes: 9 }), { message: "connection lost" });
  assert.equal(await store.read("a"), undefined);
  assert.deepEqual(readdirSync(join(root("nothing"), ".tmp")), []);
});

test("shows a staged blob only once it is published", async () => {
  const store = createBlobStore(root("staged"));
  const staged = await store.stage(chunks("abc"), { maxBytes: 3 });
  assert.deepEqual(await all(store.list()), []);
  assert.equal(Buffer.from(await staged.bytes()).toString(), "abc");
  await staged.publish("x/y");
  await staged.discard();
  assert.equal(await contents(store, "x/y"), "abc");
  const dropped = await store.stage(chunks("abc"), { maxBytes: 3 });
  await dropped.discard();
  assert.deepEqual(readdirSync(join(root("staged"), ".tmp")), []);
});

for (const name of [
  "",
  "..",
  "../a",
  "a/../b",
  "a/..",
  "/a",
  "a//b",
  "a/",
  ".tmp/a",
  "a\\b",
  "A",
  "a\0b",
  "a".repeat(201),
]) {
  test(`refuses ${JSON.stringify(name.slice(0, 20))} as a name`, async () => {
    const store = createBlobStore(root("names"));
    const invalid = { code: "STORAGE_BLOB_NAME_INVALID" };
    await assert.rejects(store.put(name, chunks("abc"), { maxBytes: 3 }), invalid);
    await assert.rejects(store.read(name), invalid);
    await assert.rejects(store.delete(name), invalid);
    await assert.rejects(all(store.list(name)), invalid);
  });
}

test("lists and deletes blobs, and never the temporary files", async () => {
  const store = createBlobStore(root("lists"));
  await store.put("a/1", chunks("x"), { maxBytes: 1 });
  await store.put("a/2", chunks("x"), { maxBytes: 1 });
  await store.put("b", chunks("x"), { maxBytes: 1 });
  await store.stage(chunks("x"), { maxBytes: 1 });
  assert.deepEqual((await all(store.list())).sort(), ["a/1", "a/2", "b"]);
  assert.deepEqual((await all(store.list("a"))).sort(), ["a/1", "a/2"]);
  assert.deepEqual(await all(store.list("c")), []);
  assert.equal(await store.read("a"), undefined);
  assert.equal(await store.delete("a"), false);
  assert.equal(await store.delete("a/1"), true);
  assert.equal(await store.delete("a/1"), false);
  assert.deepEqual(await all(store.list("a")), ["a/2"]);
});

test("a blob that is being read stays whole when it is replaced or deleted", async () => {
  const store = createBlobStore(root("readers"));
  await store.put("a", chunks("old"), { maxBytes: 3 });
  const reader = await store.read("a");
  await store.put("a", chunks("new"), { maxBytes: 3 });
  await store.delete("a");
  assert.equal(await text(reader!.stream), "old");
});

test("a writer killed in the middle leaves no blob, and its garbage is gone at the next start", async () => {
  const killed = root("killed");
  const script = join(dir, "writer.mjs");
  const module = new URL("./blobs.ts", import.meta.url).href;
  writeFileSync(
    script,
    `import { createBlobStore } from ${JSON.stringify(module)};
     const store = createBlobStore(process.argv[2]);
     await store.put("done", (async function* () { yield new Uint8Array(10); })(), { maxBytes: 10 });
     await store.put("half", (async function* () {
       yield new Uint8Array(100_000);
       process.send("writing");
       await new Promise(() => setInterval(() => undefined, 1000));
     })(), { maxBytes: 1_000_000 });`,
  );
  const child: ChildProcess = fork(script, [killed]);
  await once(child, "message");
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(readdirSync(join(killed, ".tmp")).length, 1);
  const store = createBlobStore(killed);
  assert.deepEqual(await all(store.list()), ["done"]);
  assert.deepEqual(readdirSync(join(killed, ".tmp")), []);
});

test("does not mistake a directory's missing parent for an error", async () => {
  mkdirSync(root("fresh"));
  const store = createBlobStore(join(root("fresh"), "deep", "er"));
  assert.equal(await store.read("nothing/here"), undefined);
  assert.ok(existsSync(join(root("fresh"), "deep", "er")));
});
