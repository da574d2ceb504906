import assert from "node:assert/strict";
import { mkdtemp, readFile, rename, rm, symlink, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { goldensDir, largestDifference, readGoldens } from "../../goldens/read.ts";
import { differenceOf } from "../../goldens/runs.ts";
import { type SingleFileFacts, singleFiles, writeSingleFile } from "../../goldens/single-file.ts";
import { buildClipText, clipTextInputs } from "../graphs/clip-text.ts";
import { buildUNet } from "../graphs/unet.ts";
import { buildVaeDecoder } from "../graphs/vae.ts";
import { loadPipeline } from "../load.ts";
import { openNetwork } from "../runtime/network.ts";
import type { TensorInfo } from "../safetensors.ts";
import { parseClipText, parseUNet, parseVae } from "./configs.ts";
import { Fields, modelFileErrors } from "./fields.ts";
import { splitLdm } from "./ldm.ts";
import { clipTextConfigOf, type RawConfig, unetConfigOf, vaeConfigOf } from "./ldm-configs.ts";
import { readModel } from "./read.ts";
import { builtInTokenizer } from "./tokenizer-files.ts";

const scratch = await mkdtemp(join(tmpdir(), "single-file-"));
after(() => rm(scratch, { recursive: true }));

const tokenizerOf = (facts: SingleFileFacts) => join(goldensDir, facts.tokenizer, "tokenizer");
const pathOf = (name: string) => join(scratch, `${name}.safetensors`);

const goldens = new Map(
  await Promise.all(
    singleFiles.map(async (name) => [name, await readGoldens<SingleFileFacts>(name)] as const),
  ),
);
const sd1 = goldens.get("sd1-single-file")!.facts;
const sd2 = goldens.get("sd2-single-file")!.facts;
for (const [name, { facts }] of goldens) await writeSingleFile(pathOf(name), facts);

type Published = Record<
  "sd1" | "sd2",
  { text: RawConfig; unet: RawConfig; vae: RawConfig; shapes: Record<string, number[]> }
>;
const published = JSON.parse(await readFile(join(goldensDir, "published-shapes.json"), "utf8")) as Published;

for (const [name, { facts, tensor }] of goldens) {
  const tokenizerDir = tokenizerOf(facts);

  test(`${name}: encodes text as transformers does`, async () => {
    const { textEncoder, tokenizer } = await readModel(pathOf(name), tokenizerDir);
    const ids = tokenizer.encode(facts.runs[0]!.prompt);
    assert.deepEqual(ids, facts.ids);
    const graph = buildClipText(textEncoder.tensors, textEncoder.config, tokenizer.length);
    const network = await openNetwork(graph, textEncoder.directory, { provider: "cpu", threads: 1 });
    const output = await network.run(clipTextInputs(textEncoder.config, ids, 1));
    await network.release();
    const difference = largestDifference(output, tensor("text.embeddings").floats);
    assert.ok(difference <= 1e-4, `differs by ${difference}`);
  });

  test(`${name}: makes the pictures that diffusers makes of the converted file`, async () => {
    const pipeline = await loadPipeline(pathOf(name), { threads: 1, tokenizerDir });
    for (const [i, run] of facts.runs.entries()) {
      const difference = await differenceOf(pipeline, run, i, tensor);
      const what = `${run.method} ${JSON.stringify(run.args)}: ${JSON.stringify(difference)}`;
      assert.ok(difference.latents <= 1e-3 && difference.pixels <= 1, what);
      assert.equal(difference.phashBits, 0, what);
    }
    await pipeline.close();
  });
}

const infoOf = (shape: readonly number[]): TensorInfo => ({
  dtype: "F16",
  shape,
  path: "x",
  offsetBytes: 0,
  lengthBytes: 2 * shape.reduce((product, size) => product * size, 1),
});

for (const family of ["sd1", "sd2"] as const) {
  test(`${family}: finds the published configuration in the published shapes`, () => {
    const { shapes, ...configs } = published[family];
    const tensors = new Map(
      Object.entries(shapes).map(([name, shape]): [string, TensorInfo] => [name, infoOf(shape)]),
    );
    const parts = splitLdm(tensors, "x");
    assert.equal(parts.family, family);
    const read = (config: RawConfig) => new Fields(config, modelFileErrors("x"));
    const text = parseClipText(read(clipTextConfigOf(parts.textEncoder, family)));
    const unet = parseUNet(read(unetConfigOf(parts.unet, family, family === "sd1" ? 64 : 96)));
    const vae = parseVae(read(vaeConfigOf(parts.vae)));
    assert.deepEqual(text, parseClipText(read(configs.text)));
    assert.deepEqual(unet, parseUNet(read(configs.unet)));
    assert.deepEqual(vae, parseVae(read(configs.vae)));
    // Every tensor that the networks need is there, under its name and with its shape.
    buildClipText(parts.textEncoder, text, 77);
    buildUNet(parts.unet, unet);
    buildVaeDecoder(parts.vae, vae);
  });
}

test("is found alone in a folder, and through a link", async () => {
  const folder = await mkdtemp(join(scratch, "folder-"));
  await symlink(pathOf("sd1-single-file"), join(folder, "anything.safetensors"));
  const { unet } = await readModel(folder, tokenizerOf(sd1));
  assert.equal(unet.directory, scratch);
});

test("reads weights that lie beyond 4 GB", async () => {
  const path = pathOf("huge");
  await writeSingleFile(path, sd1, { paddingBytes: 2 ** 32 + 8 });
  const decode = async (model: string): Promise<Float32Array> => {
    const { vae } = await readModel(model, tokenizerOf(sd1));
    const network = await openNetwork(buildVaeDecoder(vae.tensors, vae.config), vae.directory, {
      provider: "cpu",
      threads: 1,
    });
    const latents = { data: new Float32Array(16).fill(0.5), shape: [1, 4, 2, 2] };
    const image = await network.run({ latents });
    await network.release();
    return image;
  };
  assert.deepEqual(await decode(path), await decode(pathOf("sd1-single-file")));
  await rm(path);
});

test("its hash does not depend on what the file is called, but on the tokenizer", async () => {
  const other = pathOf("other-name");
  await writeSingleFile(other, sd1);
  const hashes = await Promise.all(
    [
      { path: pathOf("sd1-single-file"), tokenizerDir: tokenizerOf(sd1) },
      { path: other, tokenizerDir: tokenizerOf(sd1) },
      { path: other, tokenizerDir: tokenizerOf(sd2) },
    ].map(async ({ path, tokenizerDir }) => {
      const pipeline = await loadPipeline(path, { tokenizerDir, threads: 1 });
      await pipeline.close();
      return pipeline.modelSha256;
    }),
  );
  assert.equal(hashes[1], hashes[0]);
  assert.notEqual(hashes[2], hashes[0]);
});

test("takes the prediction from the file where it says so", async () => {
  const path = pathOf("marked");
  const read = async (facts: SingleFileFacts, contents: Parameters<typeof writeSingleFile>[2]) => {
    await writeSingleFile(path, facts, { ...contents, weights: false });
    const { scheduler, unet } = await readModel(path, tokenizerOf(facts));
    return [scheduler.prediction_type, scheduler.rescale_betas_zero_snr, unet.config.sampleSize[0]];
  };
  assert.deepEqual(await read(sd1, {}), ["epsilon", undefined, 64]);
  assert.deepEqual(await read(sd1, { marks: ["v_pred", "ztsnr"] }), ["v_prediction", true, 64]);
  assert.deepEqual(await read(sd2, {}), ["v_prediction", undefined, 96]);
  const metadata = { "modelspec.prediction_type": "epsilon" };
  assert.deepEqual(await read(sd2, { metadata }), ["epsilon", undefined, 64]);
});

test("says what a file is that it cannot read", async () => {
  const unsupported = async (rename: (name: string) => string, reason: RegExp) => {
    const path = pathOf("odd");
    const tensors = sd1.tensors.map(([name, ...rest]) => [rename(name), ...rest] as (typeof sd1.tensors)[0]);
    await writeSingleFile(path, { ...sd1, tensors }, { weights: false });
    await assert.rejects(
      readModel(path),
      (error: { code: string; failureClass: string; message: string }) => {
        assert.equal(error.code, "MODEL_UNSUPPORTED");
        assert.equal(error.failureClass, "unsupported");
        assert.match(error.message, reason);
        return true;
      },
    );
  };
  await unsupported((name) => name.replace("cond_stage_model.", "conditioner.embedders.0."), /XL/);
  await unsupported((name) => name.replace("model.diffusion_model.", "lora."), /not a Stable Diffusion/);
  await unsupported((name) => name.replace("first_stage_model.", "vae."), /VAE/);
  await unsupported((name) => name.replace("cond_stage_model.", "cond."), /text encoder/);
});

test("refuses a file that lacks a tensor, is cut short, or is not there", async () => {
  const path = pathOf("broken");
  const without = (lacking: RegExp) => ({
    ...sd1,
    tensors: sd1.tensors.filter(([name]) => !lacking.test(name)),
  });
  const load = () => loadPipeline(path, { tokenizerDir: tokenizerOf(sd1), threads: 1 });
  for (const lacking of [
    /input_blocks\.0\.0\.weight/,
    /mid\.block_1\.conv1\.bias/,
    /token_embedding/,
    /middle_block/,
  ]) {
    await writeSingleFile(path, without(lacking), { weights: false });
    await assert.rejects(load(), { code: "MODEL_TENSOR_MISSING" }, String(lacking));
  }
  await writeSingleFile(path, sd1, { weights: false });
  await truncate(path, 1_000_000);
  await assert.rejects(load(), { code: "MODEL_WEIGHTS_INVALID" });
  await rename(path, pathOf("gone"));
  await assert.rejects(load(), { code: "MODEL_FILE_MISSING", facts: { file: "broken.safetensors" } });
});

test("takes a text encoder without the prefix that newer transformers leave out", () => {
  const { shapes } = published.sd1;
  const tensors = new Map(
    Object.entries(shapes).map(([name, shape]): [string, TensorInfo] => [
      name.replace("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."),
      infoOf(shape),
    ]),
  );
  const { textEncoder } = splitLdm(tensors, "x");
  const config = parseClipText(new Fields(clipTextConfigOf(textEncoder, "sd1"), modelFileErrors("x")));
  assert.equal(config.layers, 12);
  buildClipText(textEncoder, config, 77);
});

test("whatever a file's tensors are called and however they are shaped, it is read or refused with a code", (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 20_260_101);
  // Each builds three graphs: a hundredth of what others do in the time.
  const runs = Math.ceil(Number(process.env.FUZZ_RUNS ?? 20_000) / 100);
  t.diagnostic(`FUZZ_SEED=${seed}, ${runs} runs`);
  let state = seed | 1;
  const dice = (limit: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  const words = ["__proto__", "constructor", "0", "1", "999999999", "norm1", "attn.in_proj_weight", "", "."];
  const sizes = [0, 1, 3, 7, 32, 63, 64, 2 ** 31, Number.MAX_SAFE_INTEGER];
  let refused = 0;
  for (let run = 0; run < runs; run++) {
    const tensors = new Map(
      (run % 2 === 0 ? sd1 : sd2).tensors.map(([name, shape]) => [name, infoOf(shape)] as const),
    );
    const names = [...tensors.keys()];
    for (let i = 0; i <= dice(3); i++) {
      const name = names[dice(names.length)]!;
      const info = tensors.get(name) ?? infoOf([1]);
      const parts = name.split(".");
      parts[dice(parts.length)] = words[dice(words.length)]!;
      const shape = info.shape.map((size) => (dice(2) === 0 ? size : sizes[dice(sizes.length)]!));
      if (dice(3) > 0) tensors.delete(name);
      const renamed = [name, parts.join("."), `${parts.slice(0, 2).join(".")}.${words[dice(words.length)]}`];
      tensors.set(renamed[dice(3)]!, infoOf(shape.slice(0, dice(5))));
    }
    try {
      const parts = splitLdm(tensors, "x");
      const read = (config: RawConfig) => new Fields(config, modelFileErrors("x"));
      const text = parseClipText(read(clipTextConfigOf(parts.textEncoder, parts.family)));
      const unet = parseUNet(read(unetConfigOf(parts.unet, parts.family, 64)));
      const vae = parseVae(read(vaeConfigOf(parts.vae)));
      buildClipText(parts.textEncoder, text, Math.min(77, text.maxPositions));
      buildUNet(parts.unet, unet);
      buildVaeDecoder(parts.vae, vae);
    } catch (error) {
      assert.ok(isHydrogenError(error) && error.failureClass !== undefined, `not a coded error: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > runs / 4, `only ${refused} refused`);
});

test("comes with CLIP's own tokenizer", async () => {
  const config = parseClipText(new Fields({}, modelFileErrors("x")));
  const tokenizer = await builtInTokenizer(config, "!");
  const ids = tokenizer.encode("a photo of an astronaut riding a horse on mars");
  const astronaut = [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407];
  assert.deepEqual(ids.slice(0, 12), astronaut);
  assert.deepEqual(new Set(ids.slice(12)), new Set([0]));
  assert.equal(ids.length, 77);
});
