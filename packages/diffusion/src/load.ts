import { availableParallelism } from "node:os";
import { isHydrogenError } from "@hydrogen/std";
import { throwIfCancelled } from "./cancel.ts";
import { diffusionError } from "./errors.ts";
import { buildClipText } from "./graphs/clip-text.ts";
import { buildUNet, timeFeatures, UNET_INPUTS } from "./graphs/unet.ts";
import { buildVaeDecoder } from "./graphs/vae.ts";
import type { ModelFolder } from "./model/folder.ts";
import { hashFiles, readModel } from "./model/read.ts";
import { createPipeline, type DiffusionPipeline, type Networks } from "./pipeline.ts";
import { engineFingerprint } from "./runtime/fingerprint.ts";
import { type Network, openNetwork } from "./runtime/network.ts";
import { cachedThreads, chooseThreads } from "./runtime/threads.ts";

export type LoadOptions = {
  /** ONNX Runtime execution providers; the first that loads the model is used. Default `["cpu"]`. */
  providers?: readonly string[];
  /** CPU threads for one run; `"auto"`, the default, measures. It changes the speed, not the pictures. */
  threads?: number | "auto";
  /** Where measurements are kept between loads; without it they are made each time. */
  cacheDir?: string;
  /**
   * Folder with the tokenizer's `vocab.json` and `merges.txt`. Default: the model's own; for a model in one file, which
   * has none, CLIP's published one, which comes with the engine.
   */
  tokenizerDir?: string;
  signal?: AbortSignal;
  onProgress?(progress: { stage: LoadStage }): void;
};

export type LoadStage = "read" | "calibrate" | "load" | "ready";

/**
 * Loads a model of Stable Diffusion 1.x or 2.x topology, any size, fp32, fp16 or bf16: a diffusers folder, or one
 * safetensors file in the layout of latent diffusion, or a folder with such a file only. The weights stay where they
 * are and are mapped; the model must not change while the pipeline is open.
 *
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED, MODEL_WEIGHTS_INVALID, MODEL_TENSOR_MISSING,
 * MODEL_TENSOR_MISMATCH, MODEL_TOKENIZER_INVALID, PROVIDER_UNAVAILABLE, ENGINE_RUN_FAILED, ENGINE_CANCELLED
 */
export async function loadPipeline(modelPath: string, options: LoadOptions = {}): Promise<DiffusionPipeline> {
  const { providers = ["cpu"], signal } = options;
  const enter = (stage: LoadStage) => {
    throwIfCancelled(signal);
    options.onProgress?.({ stage });
  };

  enter("read");
  const model = await readModel(modelPath, options.tokenizerDir);
  const graphs = {
    text: buildClipText(model.textEncoder.tensors, model.textEncoder.config, model.tokenizer.length),
    unet: buildUNet(model.unet.tensors, model.unet.config),
    vae: buildVaeDecoder(model.vae.tensors, model.vae.config),
  };
  const modelSha256 = await hashFiles(model.files, signal);

  let refusal: unknown;
  for (const provider of providers) {
    const engine = await engineFingerprint(provider);
    const facts = { fingerprint: `${engine} sha256:${modelSha256.slice(0, 16)}`, modelSha256, provider };
    try {
      const { networks, threads } = await openNetworks(model, graphs, facts, options, enter);
      enter("ready");
      return createPipeline(model, networks, { ...facts, threads });
    } catch (error) {
      if (!isHydrogenError(error, "PROVIDER_UNAVAILABLE")) throw error;
      refusal = error;
    }
  }
  throw diffusionError("PROVIDER_UNAVAILABLE", { providers: providers.join() }, refusal);
}

/** All three networks on one provider, with as many threads as were asked for or measured to be best. */
async function openNetworks(
  model: ModelFolder,
  graphs: Readonly<Record<keyof Networks, Uint8Array>>,
  { provider, fingerprint }: { provider: string; fingerprint: string },
  { threads: asked = "auto", cacheDir, signal }: LoadOptions,
  enter: (stage: LoadStage) => void,
): Promise<{ networks: Networks; threads: number }> {
  const cores = availableParallelism();
  const opened = new Set<Network>();
  const open = async (graph: Uint8Array, directory: string, threads: number): Promise<Network> => {
    throwIfCancelled(signal);
    const network = await openNetwork(graph, directory, { provider, threads });
    opened.add(network);
    return network;
  };
  const unets = new Map<number, Network>();
  const openUnet = async (threads: number): Promise<Network> => {
    const unet = unets.get(threads) ?? (await open(graphs.unet, model.unet.directory, threads));
    unets.set(threads, unet);
    return unet;
  };
  const measure = () => chooseThreads(cores, async (threads) => measureMs(await openUnet(threads), model));

  let networks: Networks | undefined;
  try {
    enter("calibrate");
    const threads =
      asked !== "auto"
        ? asked
        : await cachedThreads(cacheDir, `${fingerprint} ${provider} ${cores}`, measure);
    enter("load");
    networks = {
      text: await open(graphs.text, model.textEncoder.directory, threads),
      unet: await openUnet(threads),
      vae: await open(graphs.vae, model.vae.directory, threads),
    };
    return { networks, threads };
  } finally {
    const kept = new Set(Object.values(networks ?? {}));
    await Promise.all(
      [...opened].filter((network) => !kept.has(network)).map((network) => network.release()),
    );
  }
}

/** Latents per side that are enough to tell; a full-size picture of a large model takes a CPU most of a minute. */
const MEASURED_SIDE = 32;

/** Milliseconds of one prediction with guidance: the best of a few, the first left out unless it takes long. */
async function measureMs(unet: Network, { unet: { config }, tokenizer }: ModelFolder): Promise<number> {
  const [height, width] = config.sampleSize.map((side) => Math.min(side, MEASURED_SIDE)) as [number, number];
  const { inChannels, levels, guidanceChannels } = config;
  const filled = (shape: readonly number[]) => ({
    data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.1),
    shape,
  });
  const inputs = {
    [UNET_INPUTS.sample]: filled([2, inChannels, height, width]),
    [UNET_INPUTS.time]: { data: timeFeatures(config, 500), shape: [1, levels[0].channels] },
    [UNET_INPUTS.context]: filled([2, tokenizer.length, levels[0].contextChannels]),
    ...(guidanceChannels > 0 && { [UNET_INPUTS.guidance]: filled([1, guidanceChannels]) }),
  };
  let bestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 7; i++) {
    const started = performance.now();
    await unet.run(inputs);
    const ms = performance.now() - started;
    if (ms > 1000) return ms;
    if (i > 0) bestMs = Math.min(bestMs, ms);
  }
  return bestMs;
}
