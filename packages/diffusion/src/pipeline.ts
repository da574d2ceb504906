/**
 * Text to image: the prompt becomes token embeddings, noise becomes latents step by step under a scheduler, latents
 * become pixels. Every part follows diffusers' `StableDiffusionPipeline`; docs/diffusion-parity.md says how closely.
 */
import { Mutex } from "@hydrogen/std";
import { cancelled, throwIfCancelled } from "./cancel.ts";
import { diffusionError } from "./errors.ts";
import { guidanceFeatures, timeFeatures, UNET_INPUTS } from "./graphs/unet.ts";
import type { ModelFolder } from "./model/folder.ts";
import { createNoiseStream } from "./noise.ts";
import type { RgbImage } from "./png.ts";
import { type Conditioning, encodePrompts } from "./prompt/encode.ts";
import { readTextualInversions } from "./prompt/textual-inversion.ts";
import { type CheckedRequest, checkRequest, type GenerateRequest } from "./request.ts";
import type { Network } from "./runtime/network.ts";
import { createScheduler, type Scheduler, schedulerFields } from "./schedulers/index.ts";

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
   * ENGINE_RUN_FAILED, ENGINE_CLOSED, and for textual inversions MODEL_WEIGHTS_INVALID, MODEL_TENSOR_MISSING,
   * MODEL_TENSOR_MISMATCH, MODEL_UNSUPPORTED
   */
  generate(request: GenerateRequest, hooks?: GenerateHooks): Promise<GenerateResult>;
  /** Waits for a running generation, then frees the memory. */
  close(): Promise<void>;
};

export type Networks = { text: Network; unet: Network; vae: Network };

export type PipelineFacts = Pick<DiffusionPipeline, "fingerprint" | "modelSha256" | "provider" | "threads">;

/** A pipeline over loaded networks, which it owns from now on. */
export function createPipeline(
  model: ModelFolder,
  networks: Networks,
  facts: PipelineFacts,
): DiffusionPipeline {
  const { unet, vae, tokenizer } = model;
  const { guidanceChannels } = unet.config;
  /** Whether a prediction without the prompt is needed too; a network that takes the strength itself needs none. */
  const needsTwo = (cfg: number) => cfg > 1 && guidanceChannels === 0;
  const vaeScale = 2 ** (vae.config.blockChannels.length - 1);
  const [sampleHeight, sampleWidth] = unet.config.sampleSize;
  const defaults = {
    widthPx: sampleWidth * vaeScale,
    heightPx: sampleHeight * vaeScale,
    multiplePx: Math.max(8, vaeScale),
  };
  const turn = new Mutex();
  let closed = false;

  /** With guidance the negative prompt's embeddings come first. */
  async function encode(request: CheckedRequest, signal?: AbortSignal): Promise<Conditioning> {
    const { prompt, negativePrompt, cfg, textualInversions } = request;
    const { config } = model.textEncoder;
    const texts = needsTwo(cfg) ? [negativePrompt, prompt] : [prompt];
    const text = { network: networks.text, config, tokenizer };
    if (textualInversions.length === 0) return encodePrompts(texts, text, { signal });
    const { tokens, embeddings } = await readTextualInversions(textualInversions, config);
    const learning = { ...text, tokenizer: tokenizer.withTokens(tokens) };
    return encodePrompts(texts, learning, { learned: embeddings, signal });
  }

  /** The model's prediction at one step, with guidance applied. */
  async function predict(
    latents: Float32Array,
    shape: readonly number[],
    context: Conditioning,
    cfg: number,
    timestep: number,
  ) {
    const guided = needsTwo(cfg);
    const sample = guided ? concat(latents, latents) : latents;
    const output = await networks.unet.run({
      [UNET_INPUTS.sample]: { data: sample, shape: [guided ? 2 : 1, ...shape] },
      [UNET_INPUTS.time]: {
        data: timeFeatures(unet.config, timestep),
        shape: [1, unet.config.levels[0].channels],
      },
      [UNET_INPUTS.context]: context,
      ...(guidanceChannels > 0 && {
        [UNET_INPUTS.guidance]: { data: guidanceFeatures(unet.config, cfg), shape: [1, guidanceChannels] },
      }),
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
    // Wrong settings are refused before anything is computed.
    newScheduler();

    const context = await encode(request, signal);
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
      const { signal } = hooks;
      throwIfCancelled(signal);
      return new Promise((resolve, reject) => {
        // While it waits its turn it can be cancelled at once, afterwards between steps.
        const leave = () => reject(cancelled(signal));
        signal?.addEventListener("abort", leave);
        const run = async () => {
          signal?.removeEventListener("abort", leave);
          if (closed) throw diffusionError("ENGINE_CLOSED");
          throwIfCancelled(signal);
          return generate(checked, hooks);
        };
        turn.run(run).then(resolve, reject);
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
