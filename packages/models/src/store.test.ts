import assert from "node:assert/strict";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { listModels, resolveModel } from "./models.ts";
import type { PullProgress } from "./progress.ts";
import { commitOf, pipelineFiles, type Repo, safetensors, sha256 } from "./testing/hub.ts";
import { createBench } from "./testing/stores.ts";
import { checkManifest } from "./write-manifest.ts";

const { hub, newStore, newRepo, newAddress } = await createBench();

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
  const totalBytes = wanted.reduce((sum, path) => sum + repo.files[path]!.length, 0);
  assert.equal(seen.at(-1)?.phase, "done");
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

test("keeps variants, revisions and single files of one repository apart", async () => {
  const half = safetensors(400, 9);
  const repo: Repo = { files: { ...pipelineFiles(), "unet/diffusion_pytorch_model.fp16.safetensors": half } };
  const id = newRepo(repo);
  const { dir, store } = newStore();
  const refs = [
    { name: id },
    { name: id, variant: "fp16" },
    { name: id, revision: commitOf(repo) },
    { name: id, file: "vae/diffusion_pytorch_model.safetensors" },
  ];
  const dirs = new Set<string>();
  for (const ref of refs) {
    const pulled = await store.pull(ref);
    dirs.add(pulled.dir);
    assert.equal((await resolveModel(ref, { modelsDirs: [dir] })).dir, pulled.dir);
    assert.equal((await store.resolve(ref)).dir, pulled.dir);
    assert.equal("unet/diffusion_pytorch_model.fp16.safetensors" in pulled.files, ref.variant === "fp16");
  }
  assert.equal(dirs.size, refs.length);
  assert.equal((await listModels({ modelsDirs: [dir] })).length, 1);
  assert.equal((await store.list()).length, refs.length);
});

test("pulls from a mirror that lists names only, and believes its X-Linked headers", async () => {
  const repo: Repo = { files: pipelineFiles(), bare: true };
  const id = newRepo(repo);
  const { store } = newStore();
  const model = await store.pull(id);
  const unet = "unet/diffusion_pytorch_model.safetensors";
  assert.equal(model.files[unet], sha256(repo.files[unet]!));
  // Not what was linked arrives.
  hub.fault = (_request, response, { body, start, end }) => {
    const wrong = Buffer.from(body).fill(0).subarray(start, end);
    response.writeHead(start === 0 && end === body.length ? 200 : 206, {
      "content-length": wrong.length,
      ...(end - start < body.length ? { "content-range": `bytes ${start}-${end - 1}/${body.length}` } : {}),
    });
    response.end(wrong);
    return true;
  };
  await assert.rejects(newStore().store.pull({ name: id, file: unet }), { code: "MODEL_HASH_MISMATCH" });
  hub.fault = undefined;
});

test("pulls a file behind an address, with its hash where one is given", async () => {
  const body = safetensors(900, 4, "conditioner.embedders.0.weight");
  const address = newAddress(body, { "content-disposition": `attachment; filename="dream.safetensors"` });
  const { dir, store } = newStore({ hostTokens: { [new URL(hub.filesOrigin).host]: "civitai-secret" } });
  const model = await store.pull(`${address}?type=Model&token=mine#sha256=${sha256(body)}`);
  assert.deepEqual(model.files, { "model.safetensors": sha256(body) });
  assert.equal(model.title, "dream.safetensors");
  assert.equal(model.defaults.widthPx, 1024);
  const manifest = await readFile(join(model.dir, "hydrogen.json"), "utf8");
  assert.doesNotMatch(manifest, /mine|secret|token/);
  const mine = hub.requests.filter(({ url }) => address.endsWith(new URL(url, hub.origin).pathname));
  assert.ok(mine.length > 0 && mine.every(({ headers }) => headers.authorization === "Bearer mine"));
  assert.ok(mine.every(({ url }) => !url.includes("mine")));
  // Found again by address and by the id that `list` shows, not under another hash.
  const [listed] = await store.list();
  for (const ref of [`${address}?type=Model`, listed!.id])
    assert.equal((await resolveModel(ref, { modelsDirs: [dir] })).dir, model.dir);
  await assert.rejects(store.resolve(`${address}?type=Model#sha256=${"0".repeat(64)}`), {
    code: "MODEL_UNKNOWN",
  });
  await assert.rejects(newStore().store.pull(`${address}#sha256=${"0".repeat(64)}`), {
    code: "MODEL_HASH_MISMATCH",
  });
});

test("a gated model needs the token, which stays with the endpoint and out of messages", async () => {
  const id = newRepo({ files: pipelineFiles(), token: "hf-secret" });
  for (const token of [undefined, "hf-wrong"])
    await assert.rejects(newStore({ token }).store.pull(id), (error) => {
      assert.ok(isHydrogenError(error, "MODEL_ACCESS_DENIED"));
      assert.equal(error.failureClass, "model_unavailable");
      assert.ok(!JSON.stringify(error).includes("hf-"));
      return true;
    });
  hub.requests.length = 0;
  await newStore({ token: "hf-secret" }).store.pull(id);
  const atFiles = hub.requests.filter(({ host }) => host === "files");
  assert.ok(atFiles.length > 0);
  assert.ok(atFiles.every(({ headers }) => headers.authorization === undefined));
});

test("says what cannot be had for now, and what can never work", async () => {
  const { store } = newStore();
  const only = newRepo({ files: { "model.ckpt": "pickle" } });
  const broken = pipelineFiles();
  delete broken["vae/config.json"];
  const notWeights = newRepo({ files: { "lora.safetensors": "not weights at all" } });
  const files = newAddress(safetensors(100)).split("/loose")[0]!;
  for (const [ref, code, failureClass] of [
    ["nobody/nothing", "MODEL_ACCESS_DENIED", "model_unavailable"],
    [{ name: only, revision: "v9" }, "MODEL_NOT_FOUND", "model_unavailable"],
    [{ name: only, file: "a.safetensors" }, "MODEL_NOT_FOUND", "model_unavailable"],
    [only, "MODEL_NO_SAFETENSORS", "model_invalid"],
    [newRepo({ files: broken }), "MODEL_INCOMPLETE", "model_invalid"],
    [newRepo({ files: { "a.safetensors": "", "b.safetensors": "" } }), "MODEL_AMBIGUOUS", "model_invalid"],
    [notWeights, "MODEL_NOT_SAFETENSORS", "model_invalid"],
    [`${files}/nothing`, "MODEL_NOT_FOUND", "model_unavailable"],
    [newAddress(Buffer.from("PK\x03\x04 a torch file")), "MODEL_NO_SAFETENSORS", "model_invalid"],
    [newAddress(Buffer.from([0x80, 2, 99, 1, 2, 3, 4, 5, 6, 7])), "MODEL_NO_SAFETENSORS", "model_invalid"],
    [newAddress(Buffer.from("<!DOCTYPE html><title>Log in")), "MODEL_ACCESS_DENIED", "model_unavailable"],
    [
      newAddress(Buffer.from("please log in"), { "content-type": "text/html" }),
      "MODEL_ACCESS_DENIED",
      "model_unavailable",
    ],
    [newAddress(Buffer.from("who knows what this is")), "MODEL_SERVER_INVALID", "model_unavailable"],
    [newAddress(safetensors(100).subarray(0, 60)), "MODEL_SERVER_INVALID", "model_unavailable"],
  ] as const)
    await assert.rejects(
      store.pull(ref),
      (error) => {
        assert.ok(isHydrogenError(error), String(error));
        assert.deepEqual([error.code, error.failureClass], [code, failureClass]);
        return true;
      },
      JSON.stringify(ref),
    );
  assert.deepEqual(await store.list(), []);
});

test("offline it finds what is here and asks nobody for the rest", async () => {
  const id = newRepo({ files: pipelineFiles() });
  const { dir, store } = newStore();
  const model = await store.pull(id);
  const offline = newStore({ dir, offline: true }).store;
  hub.requests.length = 0;
  assert.equal((await offline.pull(id)).dir, model.dir);
  await assert.rejects(offline.pull(newRepo({ files: pipelineFiles() })), { code: "MODEL_OFFLINE" });
  await writeFile(join(model.dir, "vae/config.json"), "other");
  await assert.rejects(offline.pull(id), { code: "MODEL_OFFLINE" });
  assert.deepEqual(hub.requests, []);
});

test("tells checkpoints from parts, which are found by name but not offered", async () => {
  const { dir, store } = newStore();
  const checkpoint = newRepo({
    files: { "a.safetensors": safetensors(50, 1, "model.diffusion_model.out.2.bias") },
  });
  const lora = newRepo({ files: { "a.safetensors": safetensors(50, 1, "lora_unet_x.alpha") } });
  assert.equal((await store.pull(checkpoint)).kind, "checkpoint");
  assert.equal((await store.pull(lora)).kind, "part");
  assert.deepEqual(
    (await listModels({ modelsDirs: [dir] })).map(({ id }) => id),
    [checkpoint.toLowerCase()],
  );
  assert.equal((await resolveModel(lora, { modelsDirs: [dir] })).id, lora.toLowerCase());
});

test("mends a model whose manifest was spoilt, and asks a busy server again", async () => {
  const id = newRepo({ files: { "README.md": "about", "lora.safetensors": safetensors(100) } });
  const { store } = newStore();
  const model = await store.pull(id);
  await writeFile(join(model.dir, "hydrogen.json"), "");
  await assert.rejects(store.resolve(id), { code: "MODEL_MANIFEST_INVALID" });
  hub.refusals = 2;
  assert.deepEqual((await store.pull(id)).files, model.files);
  assert.equal(hub.refusals, 0);
  await store.verify(id);
});

test("refuses a repository of too many files, or of settings as large as weights", async () => {
  const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`tokenizer/${at}.json`, "{}"]));
  const large = { "tokenizer/large.json": Buffer.alloc(65 * 2 ** 20) };
  hub.requests.length = 0;
  for (const files of [many, large])
    await assert.rejects(newStore().store.pull(newRepo({ files: { ...pipelineFiles(), ...files } })), {
      code: "MODEL_TOO_LARGE",
    });
  assert.ok(hub.requests.every(({ url }) => !url.includes("tokenizer")));
});

test("verifies, mends a damaged model by fetching only what is damaged, and removes", async () => {
  const id = newRepo({ files: pipelineFiles() });
  const { dir, store } = newStore();
  const model = await store.pull(id);
  await store.verify(id);
  const vae = join(model.dir, "vae/diffusion_pytorch_model.safetensors");
  const intact = await readFile(vae);
  await writeFile(vae, Buffer.from(intact).fill(1, 200));
  await assert.rejects(store.verify(id), { code: "MODEL_DAMAGED" });
  const lease = await store.acquire(id);
  await assert.rejects(store.pull(id), { code: "MODEL_IN_USE" });
  lease.release();
  hub.requests.length = 0;
  await store.pull(id);
  assert.deepEqual(await readFile(vae), intact);
  assert.equal(hub.requests.filter(({ host }) => host === "files").length, 1);
  await store.verify(id);
  await store.remove(id);
  await assert.rejects(store.verify(id), { code: "MODEL_UNKNOWN" });
  await assert.rejects(store.remove(id), { code: "MODEL_UNKNOWN" });
  await assert.rejects(store.acquire(id), { code: "MODEL_UNKNOWN" });
  assert.deepEqual(
    (await readdir(dir)).filter((name) => !name.startsWith(".")),
    [],
  );
  await rm(dir, { recursive: true });
  assert.deepEqual(await store.list(), []);
});
