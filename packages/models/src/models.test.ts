import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isHydrogenError } from "@hydrogen/std";
import { type ModelManifest, manifestName, readManifest } from "./manifest.ts";
import { listModels, resolveModel } from "./models.ts";
import { checkManifest, writeManifest } from "./write-manifest.ts";

const root = await mkdtemp(join(tmpdir(), "hydrogen-models-"));
after(() => rm(root, { recursive: true, force: true }));

const details = {
  title: "A model",
  licence: "Apache-2.0",
  defaults: { widthPx: 64, heightPx: 64, steps: 20, cfg: 5, scheduler: "EulerAncestralDiscreteScheduler" },
} as const satisfies Partial<ModelManifest>;

let folders = 0;

async function newModelsDir(): Promise<string> {
  const dir = join(root, String(folders++));
  await mkdir(dir);
  return dir;
}

async function addModel(modelsDir: string, id: string, files: Record<string, string> = {}): Promise<string> {
  const dir = join(modelsDir, id.replace("/", "-"));
  const all = { "model_index.json": "{}", "unet/weights.safetensors": id, "README.md": "about", ...files };
  for (const [path, content] of Object.entries(all)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), content);
  }
  await writeManifest(dir, { ...details, id });
  return dir;
}

test("lists models of all directories by id; the first directory wins, missing ones are skipped", async () => {
  const [first, second] = [await newModelsDir(), await newModelsDir()];
  await addModel(first, "b/two");
  const winner = await addModel(first, "a/one");
  await addModel(second, "a/one");
  await addModel(second, "c/three");
  await mkdir(join(second, "training"));
  const models = await listModels({ modelsDirs: [first, join(root, "nowhere"), second] });
  assert.deepEqual(
    models.map(({ id }) => id),
    ["a/one", "b/two", "c/three"],
  );
  assert.equal(models[0]!.dir, winner);
  assert.deepEqual(await listModels({ modelsDirs: [] }), []);
});

test("resolves a model by name of any case and verifies its files", async () => {
  const modelsDir = await newModelsDir();
  const dir = await addModel(modelsDir, "a/one");
  for (const ref of ["a/one", "A/One", { name: "a/one" }, { name: "a/one", variant: null }]) {
    const model = await resolveModel(ref, { modelsDirs: [modelsDir] });
    assert.equal(model.dir, dir);
    assert.deepEqual(model.defaults, details.defaults);
    assert.deepEqual(Object.keys(model.files), ["model_index.json", "unet/weights.safetensors"]);
  }
});

test("names the known models when one is unknown", async () => {
  const modelsDir = await newModelsDir();
  await addModel(modelsDir, "a/one");
  await addModel(modelsDir, "b/two");
  await assert.rejects(
    resolveModel("runwayml/stable-diffusion-v1-5", { modelsDirs: [modelsDir] }),
    (error) => {
      assert.ok(isHydrogenError(error, "MODEL_UNKNOWN"));
      assert.equal(error.failureClass, "model_unavailable");
      assert.equal(error.facts.known, "a/one, b/two");
      return true;
    },
  );
  await assert.rejects(resolveModel("../../etc", { modelsDirs: [modelsDir] }), { code: "MODEL_UNKNOWN" });
});

test("refuses a model with a changed or missing file, but not with an additional one", async () => {
  const modelsDir = await newModelsDir();
  const dir = await addModel(modelsDir, "a/one");
  const weights = join(dir, "unet/weights.safetensors");
  const resolve = () => resolveModel("a/one", { modelsDirs: [modelsDir] });
  await writeFile(join(dir, "unet/cache.json"), "{}");
  await assert.doesNotReject(resolve());
  await writeFile(weights, "other");
  await assert.rejects(resolve(), { code: "MODEL_DAMAGED", facts: await damageOf(dir, "other") });
  await rm(weights);
  await assert.rejects(
    resolve(),
    (error) => isHydrogenError(error, "MODEL_DAMAGED") && error.facts.reason === "missing",
  );
});

async function damageOf(dir: string, content: string) {
  const { createHash } = await import("node:crypto");
  const path = "unet/weights.safetensors";
  const expected = (await readManifest(dir))!.files[path];
  return { model: "a/one", path, expected, actual: createHash("sha256").update(content).digest("hex") };
}

test("stops verifying when the signal aborts", async () => {
  const modelsDir = await newModelsDir();
  await addModel(modelsDir, "a/one");
  const reason = new Error("enough");
  await assert.rejects(
    resolveModel("a/one", { modelsDirs: [modelsDir], signal: AbortSignal.abort(reason) }),
    reason,
  );
});

test("refuses malformed manifests, above all paths that leave the folder", async () => {
  const good: ModelManifest = { id: "a/one", ...details, files: { "a.json": "0".repeat(64) } };
  const wrong: unknown[] = [
    "text",
    [],
    {},
    { ...good, id: "one" },
    { ...good, id: "A/One" },
    { ...good, id: "../a/b" },
    { ...good, files: {} },
    { ...good, files: { "../a": "0".repeat(64) } },
    { ...good, files: { "/etc/passwd": "0".repeat(64) } },
    { ...good, files: { "a/../../b": "0".repeat(64) } },
    { ...good, files: { "a\\b": "0".repeat(64) } },
    { ...good, files: { "a.json": "0".repeat(63) } },
    { ...good, defaults: { ...good.defaults, widthPx: 60 } },
    { ...good, defaults: { ...good.defaults, scheduler: "DDIMScheduler" } },
    { ...good, licence: "" },
    { ...good, surprise: 1 },
  ];
  for (const manifest of wrong) {
    const modelsDir = await newModelsDir();
    await mkdir(join(modelsDir, "model"));
    await writeFile(join(modelsDir, "model", manifestName), JSON.stringify(manifest));
    await assert.rejects(
      listModels({ modelsDirs: [modelsDir] }),
      { code: "MODEL_MANIFEST_INVALID" },
      JSON.stringify(manifest),
    );
  }
  const modelsDir = await newModelsDir();
  await mkdir(join(modelsDir, "model"));
  await writeFile(join(modelsDir, "model", manifestName), "{");
  await assert.rejects(listModels({ modelsDirs: [modelsDir] }), { code: "MODEL_MANIFEST_INVALID" });
});

test("writes a manifest anew, keeping what is not given", async () => {
  const dir = await addModel(await newModelsDir(), "a/one");
  await writeFile(join(dir, "unet/weights.safetensors"), "better");
  await assert.rejects(checkManifest(dir), { code: "MODEL_DAMAGED" });
  const manifest = await writeManifest(dir, { defaults: { steps: 30 } });
  assert.deepEqual(manifest.defaults, { ...details.defaults, steps: 30 });
  assert.equal(manifest.title, details.title);
  assert.deepEqual(await checkManifest(dir), manifest);
  await writeFile(join(dir, "extra.json"), "{}");
  await assert.rejects(checkManifest(dir), { code: "MODEL_DAMAGED" });
});

test("refuses to write a manifest that lacks something", async () => {
  const dir = await newModelsDir();
  await writeFile(join(dir, "a.json"), "{}");
  await assert.rejects(writeManifest(dir, { id: "a/one" }), { code: "MODEL_MANIFEST_INVALID" });
  await assert.rejects(checkManifest(dir), { code: "MODEL_MANIFEST_INVALID" });
});

const shipped = fileURLToPath(new URL("../../../models", import.meta.url));

test("resolves the model that ships with the project, whose manifest names all its files", async () => {
  const model = await resolveModel("hydrogen-network/emoji-64", { modelsDirs: [shipped] });
  assert.equal(model.defaults.widthPx, 64);
  assert.equal(model.licence, "CC-BY-4.0");
  await checkManifest(model.dir);
});
