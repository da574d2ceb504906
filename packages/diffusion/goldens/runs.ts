/** Repeats a golden run and measures how far the result is from what diffusers made. */
import { hammingDistance, imagePhash } from "@hydrogen/protocol";
import type { DiffusionPipeline } from "../src/pipeline.ts";
import { encodePng } from "../src/png.ts";
import type { GenerateRequest } from "../src/request.ts";
import { type GoldenRun, type GoldenTensor, largestDifference } from "./read.ts";

/** The largest over all images of a run. */
export type RunDifference = {
  /** Of the final latents. */
  latents: number;
  /** Of a pixel's channel, of 255. */
  pixels: number;
  phashBits: number;
};

export function requestOf(run: GoldenRun): GenerateRequest {
  return {
    prompt: run.prompt,
    negativePrompt: run.negative_prompt,
    ...(run.width !== undefined && { widthPx: run.width }),
    ...(run.height !== undefined && { heightPx: run.height }),
    steps: run.steps,
    cfg: run.cfg,
    seed: run.seed,
    numImages: run.num_images,
    scheduler: { method: run.method, args: run.args },
  };
}

/** @param index Of the run among its checkpoint's. */
export async function differenceOf(
  pipeline: DiffusionPipeline,
  run: GoldenRun,
  index: number,
  tensor: (name: string) => GoldenTensor,
): Promise<RunDifference> {
  const latents: Float32Array[] = [];
  const { images } = await pipeline.generate(requestOf(run), {
    onStep: (info) => {
      latents[info.image] = new Float32Array(info.latents);
    },
  });
  const differences = images.map((image, i): RunDifference => {
    const expected = tensor(`run.${index}.${i}.image`);
    const hashOf = (rgb: Uint8Array) => imagePhash(encodePng({ ...image, rgb }));
    const sameSize = expected.shape.join() === [image.heightPx, image.widthPx, 3].join();
    return {
      latents: largestDifference(latents[i]!, tensor(`run.${index}.${i}.latents`).floats),
      pixels: sameSize ? largestDifference(image.rgb, expected.bytes) : Number.POSITIVE_INFINITY,
      phashBits: hammingDistance(hashOf(image.rgb), hashOf(expected.bytes)),
    };
  });
  const worst = (key: keyof RunDifference) => Math.max(...differences.map((difference) => difference[key]));
  return { latents: worst("latents"), pixels: worst("pixels"), phashBits: worst("phashBits") };
}

/** What a run is, for people. */
export function titleOf(run: GoldenRun): string {
  const settings = [run.method.replace("Scheduler", "")];
  if (run.args !== null) settings[0] += ` \`${JSON.stringify(run.args)}\``;
  settings.push(`${run.steps} steps`, `cfg ${run.cfg}`);
  if (run.num_images > 1) settings.push(`${run.num_images} images`);
  if (run.width !== undefined) settings.push(`${run.width}×${run.height}`);
  return settings.join(", ");
}
