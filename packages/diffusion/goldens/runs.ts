/** Repeats a golden run and measures how far the result is from what diffusers made. */
import { hammingDistance, imagePhash } from "@hydrogen/protocol";
import type { DiffusionPipeline } from "../src/pipeline.ts";
import { encodePng } from "../src/png.ts";
import { type GoldenRun, type GoldenTensor, largestDifference } from "./read.ts";

export type RunDifference = {
  /** Largest difference of the final latents. */
  latents: number;
  /** Largest difference of a pixel's channel, of 255. */
  pixels: number;
  phashBits: number;
};

export async function differenceOf(
  pipeline: DiffusionPipeline,
  run: GoldenRun,
  expected: { latents: GoldenTensor; image: GoldenTensor },
): Promise<RunDifference> {
  let latents = new Float32Array();
  const { images } = await pipeline.generate(
    {
      prompt: run.prompt,
      negativePrompt: run.negative_prompt,
      ...(run.width !== undefined && { widthPx: run.width }),
      ...(run.height !== undefined && { heightPx: run.height }),
      steps: run.steps,
      cfg: run.cfg,
      seed: run.seed,
      numImages: 1,
      scheduler: { method: run.method, args: run.args },
    },
    {
      onStep: (info) => {
        latents = new Float32Array(info.latents);
      },
    },
  );
  const image = images[0]!;
  const hashOf = (rgb: Uint8Array) => imagePhash(encodePng({ ...image, rgb }));
  return {
    latents: largestDifference(latents, expected.latents.floats),
    pixels: largestDifference(image.rgb, expected.image.bytes),
    phashBits: hammingDistance(hashOf(image.rgb), hashOf(expected.image.bytes)),
  };
}
