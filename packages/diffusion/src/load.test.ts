import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkpoints, goldensDir } from "../goldens/read.ts";
import { type LoadStage, loadPipeline } from "./load.ts";

const model = join(goldensDir, checkpoints[0]);
const cacheDir = await mkdtemp(join(tmpdir(), "load-"));
after(() => rm(cacheDir, { recursive: true }));

test("measures the threads once and keeps them", async () => {
  const first = await loadPipeline(model, { cacheDir });
  await first.close();
  const [name, ...others] = await readdir(cacheDir);
  assert.deepEqual(others, []);
  const path = join(cacheDir, name!);
  const kept = JSON.parse(await readFile(path, "utf8")) as { threads: number };
  assert.equal(kept.threads, first.threads);

  await writeFile(path, JSON.stringify({ ...kept, threads: 5 }));
  const second = await loadPipeline(model, { cacheDir });
  await second.close();
  assert.equal(second.threads, 5, "what is kept is believed");
  assert.equal(second.fingerprint, first.fingerprint, "threads do not change the pictures");
});

test("reports its stages and describes what it loaded", async () => {
  const stages: LoadStage[] = [];
  const pipeline = await loadPipeline(model, { threads: 1, onProgress: ({ stage }) => stages.push(stage) });
  await pipeline.close();
  assert.deepEqual(stages, ["read", "calibrate", "load", "ready"]);
  assert.deepEqual(pipeline.defaults, { widthPx: 32, heightPx: 32, multiplePx: 8 });
  assert.match(pipeline.modelSha256, /^[0-9a-f]{64}$/);
  assert.match(
    pipeline.fingerprint,
    /^hydrogen-diffusion\/\d+ onnxruntime\/1\.30\.0 cpu \S+ sha256:[0-9a-f]{16}$/,
  );
  assert.ok(pipeline.fingerprint.endsWith(pipeline.modelSha256.slice(0, 16)));
});

test("two models have two fingerprints", async () => {
  const pipelines = await Promise.all(
    checkpoints.map((name) => loadPipeline(join(goldensDir, name), { threads: 1 })),
  );
  await Promise.all(pipelines.map((pipeline) => pipeline.close()));
  assert.equal(new Set(pipelines.map((pipeline) => pipeline.fingerprint)).size, checkpoints.length);
});

for (const stop of ["calibrate", "load", "ready"] as const) {
  test(`can be cancelled while it loads, before "${stop}"`, async () => {
    const controller = new AbortController();
    const before: Record<string, LoadStage> = { calibrate: "read", load: "calibrate", ready: "load" };
    const loading = loadPipeline(model, {
      threads: 1,
      signal: controller.signal,
      onProgress: ({ stage }) => {
        if (stage === before[stop]) controller.abort();
      },
    });
    await assert.rejects(loading, { code: "ENGINE_CANCELLED", failureClass: "cancelled" });
  });
}
