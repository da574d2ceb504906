/**
 * Text to image: the prompt becomes token embeddings, noise becomes latents step by step under a scheduler, latents
 * become pixels. Every part follows diffusers' `StableDiffusionPipeline`; see docs/diffusion-parity.md for how closely.
 */
import { availableParallelism } from "node:os";
import { Mutex } from "@hydrogen/std";
import { diffusionError } from "./errors.ts";
import { buildClipText } from "./graphs/clip-text.ts";
import { buildUNet, timeFeatures, UNET_INPUTS } from "./graphs/unet.ts";
import { buildVaeDecoder } from "./graphs/vae.ts";
import { hashFiles, type ModelFolder, readModelFolder } from "./model/folder.ts";
import { createNoiseStream } from "./noise.ts";
import type { RgbImage } from "./png.ts";
import { type CheckedRequest, checkRequest, type GenerateRequest } from "./request.ts";
import { engineFingerprint } from "./runtime/fingerprint.ts";
import { type Network, type NetworkOptions, openNetwork } from "./runtime/network.ts";
import { cachedThreads, chooseThreads } from "./runtime/threads.ts";
import { createScheduler, type Scheduler, schedulerFields } from "./schedulers/index.ts";

export type LoadOptions = {
  /** ONNX Runtime execution providers; the first that loads the model is used. Default `["cpu"]`. */
  providers?: readonly string[];
  /** CPU threads for one run; `"auto"`, the default, measures. It changes the speed, not the pictures. */
  threads?: number | "auto";
  /** Where measurements are kept between loads; without it they are made each time. */
  cacheDir?: string;
  signal?: AbortSignal;
  onProgress?(progress: { stage: LoadStage }): void;
};

export type LoadStage = "read" | "calibrate" | "load" | "ready";

export type StepInfo = {
  /** Steps done and in all, over all images. */
  step: number;
  steps: number;
  /** Index of the image the step belongs to. */
  image: number;
  ms: number;
  /** [channels, height, width] after the step, for previews; to be read at once and left as it is. */
  latents: Float32Array;
};

export type GenerateHooks = { onStep?(info: StepInfo): void; signal?: AbortSignal };

export type GenerateResult = {
  images: RgbImage[];
  timingsMs: { text: number; steps: number; decode: number; total: number };
};

export type DiffusionPipeline = {
  /** Engine, runtime, provider, kernel variant and model: what must be equal for pictures to be equal bit for bit. */
  readonly fingerprint: string;
  /** Over the names and contents of all files the pipeline was read from. */
  readonly modelSha256: string;
  readonly provider: string;
  readonly threads: number;
  /** The size the model was trained for; sides must be multiples of `multiplePx`. */
  readonly defaults: { widthPx: number; heightPx: number; multiplePx: number };
  /**
   * The images of a request, one after the other. Calls queue.
   *
   * @throws ARGS_INVALID, ARGS_SIZE_INVALID, ARGS_SCHEDULER_INVALID, SCHEDULER_UNSUPPORTED, ENGINE_CANCELLED,
   * ENGINE_RUN_FAILED, ENGINE_CLOSED
   */
  generate(request: GenerateRequest, hooks?: GenerateHooks): Promise<GenerateResult>;
  /** Waits for a running generation, then frees the memory. */
  close(): Promise<void>;
};

type Networks = { text: Network; unet: Network; vae: Network };

/**
 * Loads a diffusers folder of Stable Diffusion 1.x topology, any size, fp32, fp16 or bf16. The weights stay where
 * they are and are mapped; the folder must not change while the pipeline is open.
 *
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED, MODEL_WEIGHTS_INVALID, MODEL_TENSOR_MISSING,
 * MODEL_TENSOR_MISMATCH, MODEL_TOKENIZER_INVALID, PROVIDER_UNAVAILABLE, ENGINE_RUN_FAILED, ENGINE_CANCELLED
 */
export async function loadPipeline(modelDir: string, options: LoadOptions = {}): Promise<DiffusionPipeline> {
  const { providers = ["cpu"], threads: asked = "auto", cacheDir, signal } = options;
  const enter = (stage: LoadStage) => {
    throwIfCancelled(signal);
    options.onProgress?.({ stage });
  };

  enter("read");
  const model = await readModelFolder(modelDir);
  const graphs = {
    text: buildClipText(model.textEncoder.tensors, model.textEncoder.config, model.tokenizer.length),
    unet: buildUNet(model.unet.tensors, model.unet.config),
    vae: buildVaeDecoder(model.vae.tensors, model.vae.config),
  };
  const modelSha256 = await cancellable(signal, hashFiles(modelDir, model.files, signal));

  const open = async (provider: string): Promise<{ networks: Networks; threads: number }> => {
    const fingerprint = `${await engineFingerprint(provider)} ${modelSha256}`;
    const openUnet = (network: NetworkOptions) => openNetwork(graphs.unet, model.unet.directory, network);
    enter("calibrate");
    const threads =
      asked === "auto"
        ? await cachedThreads(cacheDir, `${fingerprint} ${availableParallelism()}`, () =>
            chooseThreads(availableParallelism(), async (count) => {
              throwIfCancelled(signal);
              return measureMs(await openUnet({ provider, threads: count }), model);
            }),
          )
        : asked;
    enter("load");
    const network = { provider, threads };
    const opened: Network[] = [];
    try {
      const text = await openNetwork(graphs.text, model.textEncoder.directory, network);
      opened.push(text);
      const unet = await openUnet(network);
      opened.push(unet);
      const vae = await openNetwork(graphs.vae, model.vae.directory, network);
      return { networks: { text, unet, vae }, threads };
    } catch (error) {
      await Promise.all(opened.map((one) => one.release()));
      throw error;
    }
  };
  const { provider, networks, threads } = await firstThatOpens(providers, open);
  enter("ready");
  const fingerprint = `${await engineFingerprint(provider)} sha256:${modelSha256.slice(0, 16)}`;
  return createPipeline(model, networks, { fingerprint, modelSha256, provider, threads });
}

async function firstThatOpens<T>(
  providers: readonly string[],
  open: (provider: string) => Promise<T>,
): Promise<T & { provider: string }> {
  let failure: unknown;
  for (const provider of providers) {
    try {
      return { ...(await open(provider)), provider };
    } catch (error) {
      if ((error as { code?: unknown }).code !== "PROVIDER_UNAVAILABLE") throw error;
      failure = error;
    }
  }
  throw diffusionError("PROVIDER_UNAVAILABLE", { providers: providers.join() }, failure);
}

/** The second of two denoiser runs at the model's own size, with guidance; releases the network. */
async function measureMs(unet: Network, { unet: { config }, tokenizer }: ModelFolder): Promise<number> {
  const [height, width] = config.sampleSize;
  const { inChannels, levels } = config;
  const inputs = {
    [UNET_INPUTS.sample]: filled([2, inChannels, height, width]),
    [UNET_INPUTS.time]: { data: timeFeatures(config, 500), shape: [1, levels[0].channels] },
    [UNET_INPUTS.context]: filled([2, tokenizer.length, levels[0].contextChannels]),
  };
  try {
    let bestMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const started = performance.now();
      await unet.run(inputs);
      const ms = performance.now() - started;
      if (i > 0) bestMs = Math.min(bestMs, ms);
      if (ms > 1000) return ms;
    }
    return bestMs;
  } finally {
    await unet.release();
  }
}

function filled(shape: readonly number[]) {
  return { data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.1), shape };
}

function createPipeline(
  model: ModelFolder,
  networks: Networks,
  facts: { fingerprint: string; modelSha256: string; provider: string; threads: number },
): DiffusionPipeline {
  const { unet, vae, tokenizer } = model;
  const vaeScale = 2 ** (vae.config.blockChannels.length - 1);
  const [sampleHeight, sampleWidth] = unet.config.sampleSize;
  const defaults = {
    widthPx: sampleWidth * vaeScale,
    heightPx: sampleHeight * vaeScale,
    multiplePx: Math.max(8, vaeScale),
  };
  const turn = new Mutex();
  let closed = false;

  /** [1 or 2, tokens, channels]: with guidance the negative prompt's embeddings come first. */
  async function encodePrompts({ prompt, negativePrompt, cfg }: CheckedRequest) {
    const texts = cfg > 1 ? [negativePrompt, prompt] : [prompt];
    const ids = texts.flatMap((text) => tokenizer.encode(text)).map(BigInt);
    const data = await networks.text.run({
      input_ids: { data: BigInt64Array.from(ids), shape: [texts.length, tokenizer.length] },
    });
    return { data, shape: [texts.length, tokenizer.length, unet.config.levels[0].contextChannels] };
  }

  /** The model's prediction at one step, with guidance applied. */
  async function predict(
    latents: Float32Array,
    shape: readonly number[],
    context: { data: Float32Array; shape: number[] },
    cfg: number,
    timestep: number,
  ) {
    const guided = cfg > 1;
    const sample = guided ? concat(latents, latents) : latents;
    const output = await networks.unet.run({
      [UNET_INPUTS.sample]: { data: sample, shape: [guided ? 2 : 1, ...shape] },
      [UNET_INPUTS.time]: {
        data: timeFeatures(unet.config, timestep),
        shape: [1, unet.config.levels[0].channels],
      },
      [UNET_INPUTS.context]: context,
    });
    if (!guided) return output;
    const without = output.subarray(0, latents.length);
    const withPrompt = output.subarray(latents.length);
    return without.map((base, i) => base + cfg * (withPrompt[i]! - base));
  }

  async function generate(
    request: CheckedRequest,
    { onStep, signal }: GenerateHooks,
  ): Promise<GenerateResult> {
    const started = performance.now();
    const { seed, numImages, steps, cfg, widthPx, heightPx } = request;
    const shape = [unet.config.inChannels, heightPx / vaeScale, widthPx / vaeScale] as const;
    const size = shape.reduce((a, b) => a * b);
    const fields = schedulerFields(model.scheduler, request.scheduler.args);
    const noise = createNoiseStream(seed);
    const newScheduler = (): Scheduler => createScheduler(request.scheduler.method, { fields, steps, noise });
    newScheduler();

    const context = await encodePrompts(request);
    const timingsMs = { text: performance.now() - started, steps: 0, decode: 0, total: 0 };
    const images: RgbImage[] = [];
    for (let image = 0; image < numImages; image++) {
      const scheduler = newScheduler();
      const { timesteps } = scheduler;
      let latents: Float32Array = noise.normal(size).map((value) => value * scheduler.initialScale);
      for (const [step, timestep] of timesteps.entries()) {
        throwIfCancelled(signal);
        const stepStarted = performance.now();
        const scale = scheduler.inputScale(step);
        const scaled = scale === 1 ? latents : latents.map((value) => value * scale);
        const output = await predict(scaled, shape, context, cfg, timestep);
        latents = scheduler.advance(output, latents, step);
        const ms = performance.now() - stepStarted;
        timingsMs.steps += ms;
        onStep?.({
          step: image * timesteps.length + step + 1,
          steps: numImages * timesteps.length,
          image,
          ms,
          latents,
        });
      }
      throwIfCancelled(signal);
      const decodeStarted = performance.now();
      const decoded = await networks.vae.run({
        latents: { data: latents.map((value) => value / vae.config.scalingFactor), shape: [1, ...shape] },
      });
      images.push(toRgb(decoded, widthPx, heightPx));
      timingsMs.decode += performance.now() - decodeStarted;
    }
    timingsMs.total = performance.now() - started;
    return { images, timingsMs };
  }

  return {
    ...facts,
    defaults,
    async generate(request, hooks = {}) {
      const checked = checkRequest(request, defaults);
      return turn.run(async () => {
        if (closed) throw diffusionError("ENGINE_CLOSED");
        throwIfCancelled(hooks.signal);
        return generate(checked, hooks);
      });
    },
    close: () =>
      turn.run(async () => {
        if (closed) return;
        closed = true;
        await Promise.all([networks.text.release(), networks.unet.release(), networks.vae.release()]);
      }),
  };
}

/** Planes of about −1…1 to interleaved bytes, rounded as numpy rounds: halves to the even number. */
function toRgb(planes: Float32Array, widthPx: number, heightPx: number): RgbImage {
  const pixels = widthPx * heightPx;
  const rgb = new Uint8ClampedArray(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < pixels; i++) {
      const unit = Math.fround(planes[channel * pixels + i]! / 2 + 0.5);
      // Storing into a clamped array clamps and rounds halves to even.
      rgb[3 * i + channel] = Math.fround(unit * 255);
    }
  }
  return { widthPx, heightPx, rgb: new Uint8Array(rgb.buffer) };
}

function concat(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw diffusionError("ENGINE_CANCELLED", {}, signal.reason);
}

async function cancellable<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throwIfCancelled(signal);
    throw error;
  }
}
