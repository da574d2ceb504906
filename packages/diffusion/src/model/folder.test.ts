import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkpoints, goldensDir } from "../../goldens/read.ts";
import { loadPipeline } from "../load.ts";
import { readModelFolder } from "./folder.ts";
import { hashFiles } from "./read.ts";

const scratch = await mkdtemp(join(tmpdir(), "model-folder-"));
after(() => rm(scratch, { recursive: true }));
const original = join(goldensDir, checkpoints[0]);
let copies = 0;

async function copyOfModel(name: string = checkpoints[0]): Promise<string> {
  const directory = join(scratch, String(copies++));
  await cp(join(goldensDir, name), directory, { recursive: true });
  return directory;
}

async function withConfig(file: string, change: Record<string, unknown>): Promise<string> {
  const directory = await copyOfModel();
  const path = join(directory, file);
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...change }));
  return directory;
}

test("follows links, as the Hugging Face cache has them", async () => {
  const directory = await copyOfModel();
  for (const [i, file] of [
    "unet/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
  ].entries()) {
    await rename(join(directory, file), join(scratch, `blob-${i}`));
    await symlink(join(scratch, `blob-${i}`), join(directory, file));
  }
  const pipeline = await loadPipeline(directory, { threads: 1 });
  await pipeline.close();
});

test("takes weights of the fp16 variant", async () => {
  const directory = await copyOfModel();
  const stem = join(directory, "unet/diffusion_pytorch_model");
  await rename(`${stem}.safetensors`, `${stem}.fp16.safetensors`);
  const { files } = await readModelFolder(directory);
  assert.ok(files.some(({ name }) => name === "unet/diffusion_pytorch_model.fp16.safetensors"));
});

test("reads all shards of a split file", async () => {
  const { files, unet } = await readModelFolder(join(goldensDir, "plain-kl8-shards"));
  const paths = new Set([...unet.tensors.values()].map((info) => info.path));
  assert.equal(paths.size, 2);
  assert.equal(files.filter(({ name }) => name.startsWith("unet/diffusion_pytorch_model-")).length, 2);
});

test("the hash follows the contents of every file that is read, and no other", async () => {
  const directory = await copyOfModel();
  const { files } = await readModelFolder(directory);
  const hash = await hashFiles(files);
  assert.match(hash, /^[0-9a-f]{64}$/);
  assert.equal(hash, await hashFiles((await readModelFolder(original)).files));
  await writeFile(join(directory, "README.md"), "hello");
  assert.equal(await hashFiles((await readModelFolder(directory)).files), hash);
  await writeFile(join(directory, "tokenizer/merges.txt"), "#version: 0.2\n");
  assert.notEqual(await hashFiles(files), hash);
});

test("says which file is missing", async () => {
  for (const file of [
    "model_index.json",
    "unet/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
  ]) {
    const directory = await copyOfModel();
    await rm(join(directory, file));
    await assert.rejects(readModelFolder(directory), {
      code: "MODEL_FILE_MISSING",
      failureClass: "model_invalid",
      facts: { file },
    });
  }
});

test("a link to nowhere is a missing file", async () => {
  const directory = await copyOfModel();
  const path = join(directory, "unet/diffusion_pytorch_model.safetensors");
  await rm(path);
  await symlink(join(scratch, "nowhere"), path);
  await assert.rejects(readModelFolder(directory), { code: "MODEL_FILE_MISSING" });
});

test("refuses a configuration too large to be one, without reading it", async () => {
  const directory = await copyOfModel();
  await truncate(join(directory, "vae/config.json"), 2 ** 40);
  await assert.rejects(readModelFolder(directory), {
    code: "MODEL_CONFIG_INVALID",
    facts: { file: "vae/config.json", bytes: 2 ** 40 },
  });
});

test("refuses a shard outside the folder", async () => {
  const directory = await copyOfModel("plain-kl8-shards");
  const index = join(directory, "unet/diffusion_pytorch_model.safetensors.index.json");
  await writeFile(index, JSON.stringify({ weight_map: { a: "../vae/diffusion_pytorch_model.safetensors" } }));
  await assert.rejects(readModelFolder(directory), { code: "MODEL_FILE_MISSING" });
});

test("refuses configurations that make no sense", async () => {
  const invalid = { code: "MODEL_CONFIG_INVALID", failureClass: "model_invalid" };
  const changes: [string, Record<string, unknown>][] = [
    ["unet/config.json", { block_out_channels: [] }],
    ["unet/config.json", { block_out_channels: [16, "32"] }],
    ["unet/config.json", { block_out_channels: [16, 33] }],
    ["unet/config.json", { block_out_channels: [16, 32, 32] }],
    ["unet/config.json", { layers_per_block: 1e12 }],
    ["unet/config.json", { layers_per_block: [1] }],
    ["unet/config.json", { attention_head_dim: 5 }],
    ["unet/config.json", { norm_eps: "small" }],
    ["unet/config.json", { use_linear_projection: "yes" }],
    ["unet/config.json", { cross_attention_dim: 64 }],
    ["unet/config.json", { sample_size: 0 }],
    ["vae/config.json", { norm_num_groups: 7 }],
    ["vae/config.json", { up_block_types: ["UpDecoderBlock2D"] }],
    ["text_encoder/config.json", { num_hidden_layers: -1 }],
  ];
  for (const [file, change] of changes) {
    await assert.rejects(readModelFolder(await withConfig(file, change)), invalid, JSON.stringify(change));
  }
  const directory = await copyOfModel();
  await writeFile(join(directory, "vae/config.json"), "{");
  await assert.rejects(readModelFolder(directory), invalid);
});

test("says what it does not support", async () => {
  const unsupported = { code: "MODEL_UNSUPPORTED", failureClass: "unsupported" };
  const changes: [string, Record<string, unknown>][] = [
    ["model_index.json", { _class_name: "StableDiffusionXLPipeline" }],
    ["unet/config.json", { addition_embed_type: "text_time" }],
    ["unet/config.json", { class_embed_type: "timestep" }],
    ["unet/config.json", { in_channels: 9 }],
    ["unet/config.json", { down_block_types: ["AttnDownBlock2D", "DownBlock2D"] }],
    ["unet/config.json", { up_block_types: ["UpBlock2D", "SimpleCrossAttnUpBlock2D"] }],
    ["unet/config.json", { mid_block_type: "UNetMidBlock2DSimpleCrossAttn" }],
    ["unet/config.json", { act_fn: "toString" }],
    ["vae/config.json", { _class_name: "VQModel" }],
    ["vae/config.json", { out_channels: 4 }],
    ["text_encoder/config.json", { hidden_act: "relu6" }],
  ];
  for (const [file, change] of changes) {
    await assert.rejects(
      readModelFolder(await withConfig(file, change)),
      unsupported,
      JSON.stringify(change),
    );
  }
});

test("refuses a configuration that the weights do not have", async () => {
  const directory = await withConfig("unet/config.json", { layers_per_block: 3 });
  await assert.rejects(loadPipeline(directory, { threads: 1 }), { code: "MODEL_TENSOR_MISSING" });
  const wider = await withConfig("unet/config.json", { block_out_channels: [16, 64] });
  await assert.rejects(loadPipeline(wider, { threads: 1 }), { code: "MODEL_TENSOR_MISMATCH" });
});
