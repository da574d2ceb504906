/** A diffusers folder on disk: which parts a model has, their configuration, where their weights lie, and its hash. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { throwIfCancelled } from "../cancel.ts";
import { diffusionError } from "../errors.ts";
import type { ClipTextConfig } from "../graphs/clip-text.ts";
import type { UNetConfig } from "../graphs/unet.ts";
import type { VaeConfig } from "../graphs/vae.ts";
import { readSafetensors, type TensorInfo, type Tensors } from "../safetensors.ts";
import { type ClipTokenizer, createClipTokenizer } from "../tokenizer.ts";
import { parseClipText, parseUNet, parseVae } from "./configs.ts";
import { Fields, modelFileErrors } from "./fields.ts";

/** One network: its configuration and its weights, which all lie in one directory. */
export type Part<Config> = { config: Config; tensors: Tensors; directory: string };

export type ModelFolder = {
  tokenizer: ClipTokenizer;
  textEncoder: Part<ClipTextConfig>;
  unet: Part<UNetConfig>;
  vae: Part<VaeConfig>;
  /** `scheduler_config.json` as it is. */
  scheduler: Readonly<Record<string, unknown>>;
  /** Every file that was read, relative to the folder, sorted. */
  files: readonly string[];
};

/** Configuration files are small; a larger one is not a configuration. */
const MAX_JSON_BYTES = 64_000_000;

/**
 * Reads everything but the weights.
 *
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED, MODEL_WEIGHTS_INVALID, MODEL_TOKENIZER_INVALID
 */
export async function readModelFolder(modelDir: string): Promise<ModelFolder> {
  const files = new Set<string>();
  const json = async (file: string): Promise<Record<string, unknown>> => {
    files.add(file);
    const text = await readText(join(modelDir, file), file);
    try {
      const value: unknown = JSON.parse(withStandardNumbers(text));
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as never;
      throw new TypeError("not an object");
    } catch (cause) {
      throw diffusionError("MODEL_CONFIG_INVALID", { file }, cause);
    }
  };
  const optionalJson = async (file: string): Promise<Record<string, unknown>> => {
    const listed = await readdir(join(modelDir, dirname(file))).catch(() => [] as string[]);
    return listed.includes(file.slice(file.lastIndexOf("/") + 1)) ? json(file) : {};
  };
  const part = async <Config>(
    name: string,
    parse: (fields: Fields) => Config,
    stem: string,
  ): Promise<Part<Config>> => {
    const file = `${name}/config.json`;
    const config = parse(new Fields(await json(file), modelFileErrors(file)));
    const weights = await findWeights(modelDir, name, stem, json);
    for (const weight of weights) files.add(weight);
    return { config, ...(await readWeights(weights.map((weight) => join(modelDir, weight)))) };
  };

  const readTokenizer = async ({ vocabSize, maxPositions }: ClipTextConfig): Promise<ClipTokenizer> => {
    const settings = {
      ...(await optionalJson("tokenizer/special_tokens_map.json")),
      ...(await optionalJson("tokenizer/tokenizer_config.json")),
    };
    const listed = await readdir(join(modelDir, "tokenizer")).catch(() => [] as string[]);
    if (!listed.includes("vocab.json") && listed.includes("tokenizer.json")) {
      // What transformers writes since version 5: the same two tables in one file.
      const { model } = (await json("tokenizer/tokenizer.json")) as {
        model?: { vocab?: unknown; merges?: unknown };
      };
      return createClipTokenizer(
        { vocab: model?.vocab, merges: model?.merges, settings },
        vocabSize,
        maxPositions,
      );
    }
    const vocab = await json("tokenizer/vocab.json");
    const file = "tokenizer/merges.txt";
    files.add(file);
    const merges = await readText(join(modelDir, file), file);
    return createClipTokenizer({ vocab, merges, settings }, vocabSize, maxPositions);
  };

  const index = await json("model_index.json");
  const pipeline = index._class_name;
  if (pipeline !== "StableDiffusionPipeline") {
    throw diffusionError("MODEL_UNSUPPORTED", {
      file: "model_index.json",
      key: "_class_name",
      value: String(pipeline),
    });
  }
  const textEncoder = await part("text_encoder", parseClipText, "model");
  const unet = await part("unet", parseUNet, "diffusion_pytorch_model");
  const vae = await part("vae", parseVae, "diffusion_pytorch_model");
  if (unet.config.levels[0].contextChannels !== textEncoder.config.hiddenSize) {
    throw diffusionError("MODEL_CONFIG_INVALID", { file: "unet/config.json", key: "cross_attention_dim" });
  }
  for (const channels of [unet.config.inChannels, unet.config.outChannels]) {
    // Inpainting networks take more channels than latents have.
    if (channels !== vae.config.latentChannels) {
      throw diffusionError("MODEL_UNSUPPORTED", { file: "unet/config.json", channels });
    }
  }
  const tokenizer = await readTokenizer(textEncoder.config);
  const scheduler = await json("scheduler/scheduler_config.json");
  return { tokenizer, textEncoder, unet, vae, scheduler, files: [...files].toSorted() };
}

/**
 * SHA-256, in hexadecimal, over the SHA-256 and name of each file, one line each.
 *
 * @throws ENGINE_CANCELLED
 */
export async function hashFiles(
  modelDir: string,
  files: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  const whole = createHash("sha256");
  for (const file of files) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(join(modelDir, file), { highWaterMark: 1 << 20 })) {
      throwIfCancelled(signal);
      hash.update(chunk as Buffer);
    }
    whole.update(`${hash.digest("hex")}  ${file}\n`);
  }
  return whole.digest("hex");
}

/** Python writes infinities as bare words, and the configuration of DPM-Solver has one. */
function withStandardNumbers(json: string): string {
  const words: Record<string, string> = { Infinity: "1e999", "-Infinity": "-1e999", NaN: "null" };
  return json.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) => words[token] ?? token);
}

async function readText(path: string, file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw diffusionError("MODEL_FILE_MISSING", { file }, cause);
  }
  if (bytes.length > MAX_JSON_BYTES)
    throw diffusionError("MODEL_CONFIG_INVALID", { file, bytes: bytes.length });
  return bytes.toString("utf8");
}

/** The weight files of a part: one, one of a variant, or the shards that an index lists. */
async function findWeights(
  modelDir: string,
  part: string,
  stem: string,
  json: (file: string) => Promise<Record<string, unknown>>,
): Promise<string[]> {
  const listed = await readdir(join(modelDir, part)).catch(() => [] as string[]);
  const single = [`${stem}.safetensors`, `${stem}.fp16.safetensors`].find((name) => listed.includes(name));
  if (single !== undefined) return [`${part}/${single}`];
  const indexName = `${stem}.safetensors.index.json`;
  if (!listed.includes(indexName)) {
    throw diffusionError("MODEL_FILE_MISSING", { file: `${part}/${stem}.safetensors` });
  }
  const map = (await json(`${part}/${indexName}`)).weight_map;
  const shards = [...new Set(Object.values(typeof map === "object" && map !== null ? map : {}))];
  return shards.map((shard) => {
    if (typeof shard !== "string" || !listed.includes(shard)) {
      throw diffusionError("MODEL_FILE_MISSING", { file: `${part}/${String(shard)}` });
    }
    return `${part}/${shard}`;
  });
}

/**
 * ONNX Runtime opens weights only in one real directory, so links (the Hugging Face cache is made of them) are
 * followed first.
 */
async function readWeights(paths: readonly string[]): Promise<{ tensors: Tensors; directory: string }> {
  const tensors = new Map<string, TensorInfo>();
  const directories = new Set<string>();
  for (const path of paths) {
    const real = await realpath(path);
    directories.add(dirname(real));
    for (const [name, info] of await readSafetensors(real)) tensors.set(name, info);
  }
  const [directory] = directories;
  if (directory === undefined || directories.size > 1) {
    throw diffusionError("MODEL_UNSUPPORTED", {
      reason: "weight shards in several directories",
      files: paths.join(),
    });
  }
  return { tensors, directory };
}
