import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "@hydrogen/std";
import { listModels, resolveModel } from "./models.ts";
import type { PullProgress } from "./progress.ts";
import { createModelStore, type ModelStoreOptions } from "./store.ts";
import { commitOf, pipelineFiles, type Repo, sha256, startHub } from "./testing/hub.ts";
import { checkManifest } from "./write-manifest.ts";

const root = await mkdtemp(join(tmpdir(), "hydrogen-store-"));
const hub = await startHub();
after(async () => {
  await hub.close();
  await rm(root, { recursive: true, force: true });
});

let count = 0;

function newStore(options: Partial<ModelStoreOptions> = {}) {
  const dir = options.dir ?? join(root, String(count++));
  const store = createModelStore(
    { dir, endpoint: hub.origin, trustedOrigins: [hub.filesOrigin], minFreeBytes: 0, ...options },
    { clock: systemClock },
  );
  after(() => store.close());
  return { dir, store };
}

function newRepo(repo: Repo): string {
  const id = `Owner/Model-${count++}`;
  hub.repos.set(id, repo);
  return id;
}

test("pulls a diffusers folder: what the index names, in safetensors, hashed and pinned to its commit", async () => {
  const repo: Repo = { files: pipelineFiles(), tags: ["license:openrail"] };
  const id = newRepo(repo);
  const { dir, store } = newStore();
  const seen: PullProgress[] = [];
  const model = await store.pull(id, { onProgress: (progress) => seen.push(progress) });
  const wanted = Object.keys(repo.files).filter((path) => path !== "README.md" && !path.endsWith(".bin"));
  assert.deepEqual(Object.keys(model.files), wanted.sort());
  for (const path of wanted) assert.equal(model.files[path], sha256(repo.files[path]!));
  assert.equal(model.id, id.toLowerCase());
  assert.equal(model.licence, "openrail");
  assert.equal(model.defaults.widthPx, 64);
  assert.equal(model.source?.commit, commitOf(repo));
  assert.deepEqual(seen.at(-1)?.phase, "done");
  const totalBytes = wanted.reduce((sum, path) => sum + repo.files[path]!.length, 0);
  assert.equal(seen.at(-1)?.doneBytes, totalBytes);
  assert.equal(seen.at(-1)?.totalBytes, totalBytes);
  // The same folder is what the rest of the project finds.
  await checkManifest(model.dir);
  assert.deepEqual(
    (await listModels({ modelsDirs: [dir] })).map(({ id }) => id),
    [id.toLowerCase()],
  );
  assert.equal((await resolveModel({ name: id, variant: null }, { modelsDirs: [dir] })).dir, model.dir);
  await assert.rejects(resolveModel({ name: id, variant: "fp16" }, { modelsDirs: [dir] }), {
    code: "MODEL_UNKNOWN",
  });
});
