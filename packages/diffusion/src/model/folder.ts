/** A diffusers folder on disk: which parts a model has, their configuration, and where their weights lie. */
import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { diffusionError } from "../errors.ts";
import type { ClipTextConfig } from "../graphs/clip-text.ts";
import type { UNetConfig } from "../graphs/unet.ts";
import type { VaeConfig } from "../graphs/vae.ts";
import { readSafetensors, type TensorInfo, type Tensors } from "../safetensors.ts";
import type { ClipTokenizer } from "../tokenizer.ts";
import { parseClipText, parseUNet, parseVae } from "./configs.ts";
import { Fields, modelFileErrors } from "./fields.ts";
import { createModelFiles, type ModelFile, type ModelFiles } from "./files.ts";
import { readTokenizer } from "./tokenizer-files.ts";

/** One network: its configuration and its weights, which all lie in one directory. */
export type Part<Config> = { config: Config; tensors: Tensors; directory: string };

export type ModelFolder = {
  tokenizer: ClipTokenizer;
  textEncoder: Part<ClipTextConfig>;
  unet: Part<UNetConfig>;
  vae: Part<VaeConfig>;
  /** `scheduler_config.json` as it is. */
  scheduler: Readonly<Record<string, unknown>>;
  /** Every file that was read, sorted by name. */
  files: readonly ModelFile[];
};

/**
 * Reads everything but the weights.
 *
 * @param tokenizerDir Where the tokenizer is instead of in the folder.
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED, MODEL_WEIGHTS_INVALID, MODEL_TOKENIZER_INVALID
 */
export async function readModelFolder(modelDir: string, tokenizerDir?: string): Promise<ModelFolder> {
  const files = createModelFiles((name) =>
    tokenizerDir !== undefined && name.startsWith("tokenizer/")
      ? join(tokenizerDir, name.slice("tokenizer/".length))
      : join(modelDir, name),
  );
  const part = async <Config>(
    name: string,
    parse: (fields: Fields) => Config,
    stem: string,
  ): Promise<Part<Config>> => {
    const file = `${name}/config.json`;
    const config = parse(new Fields(await files.json(file), modelFileErrors(file)));
    const weights = await findWeights(files, name, stem);
    for (const weight of weights) files.add(weight);
    return { config, ...(await readWeights(weights.map(files.pathOf))) };
  };

  const pipeline = (await files.json("model_index.json"))._class_name;
  if (pipeline !== "StableDiffusionPipeline" && pipeline !== "LatentConsistencyModelPipeline") {
    throw diffusionError("MODEL_UNSUPPORTED", {
      file: "model_index.json",
      key: "_class_name",
      value: String(pipeline),
    });
  }
  const textEncoder = await part("text_encoder", parseClipText, "model");
  const unet = await part("unet", parseUNet, "diffusion_pytorch_model");
  const vae = await part("vae", parseVae, "diffusion_pytorch_model");
  checkFit({ textEncoder, unet, vae }, "unet/config.json");
  const tokenizer = await readTokenizer(files, textEncoder.config);
  const scheduler = await files.json("scheduler/scheduler_config.json");
  return { tokenizer, textEncoder, unet, vae, scheduler, files: files.read() };
}

/**
 * Whether the parts of a model can work together.
 *
 * @throws MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED
 */
export function checkFit(
  { textEncoder, unet, vae }: Pick<ModelFolder, "textEncoder" | "unet" | "vae">,
  file: string,
): void {
  if (unet.config.levels[0].contextChannels !== textEncoder.config.hiddenSize) {
    throw diffusionError("MODEL_CONFIG_INVALID", { file, key: "cross_attention_dim" });
  }
  for (const channels of [unet.config.inChannels, unet.config.outChannels]) {
    // Inpainting networks take more channels than latents have.
    if (channels !== vae.config.latentChannels) throw diffusionError("MODEL_UNSUPPORTED", { file, channels });
  }
}

/** The weight files of a part: one, one of a variant, or the shards that an index lists. */
async function findWeights(files: ModelFiles, part: string, stem: string): Promise<string[]> {
  const listed = await files.list(part);
  const single = [`${stem}.safetensors`, `${stem}.fp16.safetensors`].find((name) => listed.includes(name));
  if (single !== undefined) return [`${part}/${single}`];
  const indexName = `${stem}.safetensors.index.json`;
  if (!listed.includes(indexName)) {
    throw diffusionError("MODEL_FILE_MISSING", { file: `${part}/${stem}.safetensors` });
  }
  const map = (await files.json(`${part}/${indexName}`)).weight_map;
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
    const real = await realpath(path).catch((cause) => {
      throw diffusionError("MODEL_FILE_MISSING", { file: basename(path) }, cause);
    });
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
