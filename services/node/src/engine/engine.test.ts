import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { imagesResult, keccak256, pngSize } from "@hydrogen/protocol";
import { bytesToHex, deferred, systemClock } from "@hydrogen/std";
import { parseTaskArgs } from "@hydrogen/tasks";
import { silentLogger } from "@hydrogen/telemetry";
import { installTinyModel, tinyArgs } from "../testing/tiny-model.ts";
import { createEngine, type Engine, type EngineOptions } from "./engine.ts";
import type { EngineProgress } from "./messages.ts";

let dir: string;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), "hydrogen-engine-"));
  await installTinyModel(join(dir, "models"));
});
after(() => rmSync(dir, { recursive: true }));

function start(t: TestContext, options: Partial<EngineOptions> = {}): Engine {
  const engine = createEngine(
    {
      settings: { modelsDirs: [join(dir, "models")], cacheDir: join(dir, "cache"), threads: 1 },
      timeoutMs: 60_000,
      cancelTimeoutMs: options.workerPath === undefined ? 5_000 : 100,
      ...options,
    },
    { clock: systemClock, log: silentLogger },
  );
  t.after(engine.close);
  return engine;
}

let directories = 0;
async function emptyDirectory(): Promise<string> {
  const path = join(dir, `out-${directories++}`);
  await mkdir(path);
  return path;
}

async function run(
  engine: Engine,
  text: string,
  hooks: { onProgress?: (p: EngineProgress) => void; signal?: AbortSignal } = {},
) {
  const outputDir = await emptyDirectory();
  const made = await engine.run({ args: parseTaskArgs(text).args, outputDir, ...hooks });
  return { ...made, pngs: made.files.map(({ name }) => new Uint8Array(readFileSync(join(outputDir, name)))) };
}

/** Enough steps to be interrupted in the middle. */
const longArgs = tinyArgs({ steps: 100, sidePx: 128 });

function whenRunning(): { reached: Promise<void>; onProgress: (progress: EngineProgress) => void } {
  const { promise, resolve } = deferred<void>();
  return {
    reached: promise,
    onProgress: ({ stage, step }) => {
      if (stage === "running" && step >= 2) resolve();
    },
  };
}

test("makes the picture, tells its digests and every step", async (t) => {
  const engine = start(t);
  const progress: EngineProgress[] = [];
  const made = await run(engine, tinyArgs({ steps: 3 }), { onProgress: (p) => progress.push(p) });
  assert.equal(made.files.length, 1);
  assert.deepEqual(pngSize(made.pngs[0]!), { width: 64, height: 64 });
  assert.equal(made.files[0]!.keccak256, keccak256(made.pngs[0]!));
  assert.equal(made.result, bytesToHex(imagesResult(made.pngs)));
  const steps = progress
    .filter(({ stage }) => stage === "running")
    .map(({ step, steps }) => `${step}/${steps}`);
  assert.deepEqual(steps, ["1/3", "2/3", "3/3"]);
  assert.match(engine.state().fingerprint!, /^hydrogen-diffusion\//);
});

test("keeps the model between runs, and the same seed gives the same bytes", async (t) => {
  const engine = start(t);
  const first = await run(engine, tinyArgs());
  const stages = new Set<string>();
  const again = await run(engine, tinyArgs(), { onProgress: ({ stage }) => stages.add(stage) });
  assert.deepEqual(again.pngs, first.pngs);
  assert.deepEqual([...stages], ["running"]);
  const other = await run(engine, tinyArgs({ seed: 8 }));
  assert.notDeepEqual(other.pngs, first.pngs);
});

test("loads a model ahead of its first run, and starts meanwhile", async (t) => {
  const engine = start(t);
  const loading = engine.load("test/tiny");
  assert.match(await engine.start(), /^hydrogen-diffusion\//);
  await loading;
  const stages = new Set<string>();
  await run(engine, tinyArgs(), { onProgress: ({ stage }) => stages.add(stage) });
  assert.deepEqual([...stages], ["running"]);
});

test("hands on the engine's coded errors with their class", async (t) => {
  const engine = start(t);
  await assert.rejects(run(engine, tinyArgs({ model: "nobody/nothing" })), {
    code: "MODEL_UNKNOWN",
    failureClass: "model_unavailable",
    retryable: false,
  });
  assert.equal(engine.state().crashes, 0);
});

test("survives a crash in the middle of a run", async (t) => {
  const engine = start(t);
  const { reached, onProgress } = whenRunning();
  const running = run(engine, longArgs, { onProgress });
  running.catch(() => undefined);
  await Promise.race([reached, running]);
  process.kill(engine.state().pid!, "SIGKILL");
  await assert.rejects(running, {
    code: "ENGINE_PROCESS_CRASHED",
    failureClass: "execution",
    retryable: true,
  });
  assert.equal(engine.state().crashes, 1);
  assert.equal((await run(engine, tinyArgs())).files.length, 1);
});

test("ends a process that hangs, and goes on with a new one", async (t) => {
  const engine = start(t, { timeoutMs: 3_000, cancelTimeoutMs: 100 });
  const { reached, onProgress } = whenRunning();
  const running = run(engine, longArgs, { onProgress });
  running.catch(() => undefined);
  await Promise.race([reached, running]);
  const pid = engine.state().pid!;
  process.kill(pid, "SIGSTOP");
  await assert.rejects(running, { code: "ENGINE_PROCESS_TIMEOUT", failureClass: "execution" });
  assert.equal((await run(engine, tinyArgs())).files.length, 1);
  assert.notEqual(engine.state().pid, pid);
});

test("stops between two steps when cancelled, and keeps the process", async (t) => {
  const engine = start(t);
  const { reached, onProgress } = whenRunning();
  const controller = new AbortController();
  const running = run(engine, longArgs, { onProgress, signal: controller.signal });
  running.catch(() => undefined);
  await Promise.race([reached, running]);
  const { pid } = engine.state();
  controller.abort();
  await assert.rejects(running, { code: "RUN_CANCELLED", failureClass: "cancelled" });
  assert.equal((await run(engine, tinyArgs())).files.length, 1);
  assert.equal(engine.state().pid, pid);
});

test("closes in the middle of a run without waiting for its end", async (t) => {
  const engine = start(t);
  const { reached, onProgress } = whenRunning();
  const running = run(engine, longArgs, { onProgress });
  running.catch(() => undefined);
  await Promise.race([reached, running]);
  await engine.close();
  await assert.rejects(running, { code: "RUN_CANCELLED" });
  await assert.rejects(run(engine, tinyArgs()), { code: "RUN_CANCELLED" });
});

/** A process that stands in for the engine, to misbehave. */
function impostor(script: string): string {
  const path = join(dir, `impostor-${directories++}.mjs`);
  writeFileSync(path, `${script}; setInterval(() => undefined, 1000);`);
  return path;
}
const hello = `{ type: "hello", version: 1, token: process.env.HYDROGEN_ENGINE_TOKEN, fingerprint: "x" }`;

test("believes no process that does not know the secret of its launch", async (t) => {
  const workerPath = impostor(`process.send({ ...${hello}, token: "guess" })`);
  await assert.rejects(start(t, { workerPath }).start(), { code: "ENGINE_PROCESS_PROTOCOL" });
  const silent = impostor(`process.send({ type: "loaded", id: 1, fingerprint: "x" })`);
  await assert.rejects(start(t, { workerPath: silent }).start(), { code: "ENGINE_PROCESS_PROTOCOL" });
});

test("ends a process that talks nonsense or another version", async (t) => {
  const nonsense = impostor(
    `process.send(${hello}); process.on("message", () => process.send({ type: "result" }))`,
  );
  await assert.rejects(run(start(t, { workerPath: nonsense }), tinyArgs()), {
    code: "ENGINE_PROCESS_PROTOCOL",
  });
  const newer = impostor(`process.send({ ...${hello}, version: 2 })`);
  await assert.rejects(start(t, { workerPath: newer }).start(), { code: "ENGINE_PROCESS_PROTOCOL" });
});

test("gives up on a process that does not come up", async (t) => {
  const workerPath = impostor("0");
  await assert.rejects(start(t, { workerPath, startTimeoutMs: 200 }).start(), {
    code: "ENGINE_PROCESS_START_FAILED",
  });
  const broken = impostor("process.exit(3)");
  await assert.rejects(start(t, { workerPath: broken }).start(), { code: "ENGINE_PROCESS_START_FAILED" });
});

test("keeps the node's secrets from the engine", async (t) => {
  process.env.HYDROGEN_TEST_PASSWORD = "secret";
  t.after(() => delete process.env.HYDROGEN_TEST_PASSWORD);
  const workerPath = impostor(
    `process.send({ ...${hello}, fingerprint: process.env.HYDROGEN_TEST_PASSWORD ?? "nothing" })`,
  );
  assert.equal(await start(t, { workerPath }).start(), "nothing");
});
