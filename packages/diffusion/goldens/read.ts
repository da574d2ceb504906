/** What real diffusers and Compel computed, as the scripts here wrote it down. For tests and the parity report only. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors } from "../src/safetensors.ts";

export const goldensDir = join(import.meta.dirname, "../../../test-vectors/diffusion");

export const checkpoints = ["classic-kl-fp16", "deep-tiny-v", "plain-kl8-shards"] as const;

export type GoldenTensor = { shape: readonly number[]; floats: Float32Array; bytes: Uint8Array };

export type GoldenRun = {
  prompt: string;
  negative_prompt: string;
  method: string;
  args: Record<string, unknown> | null;
  steps: number;
  seed: number;
  cfg: number;
  num_images: number;
  width?: number;
  height?: number;
};

export type CheckpointFacts = { prompts: { prompt: string; ids: number[] }[]; runs: GoldenRun[] };

export type CommonFacts = {
  noise: { sizes: number[]; seeds: number[] };
  schedulers: {
    method: string;
    steps: number;
    config: Record<string, unknown>;
    seed: number;
    timesteps: number[];
  }[];
};

/** How Compel reads and encodes prompts, as goldens/prompts.py wrote it down. */
export type PromptFacts = {
  compel: string;
  parsed: (
    | { prompt: string; refused: string }
    | {
        prompt: string;
        combine: "and" | "mean" | "sum";
        parts: { fragments: [text: string, weight: number][]; weight: number }[];
        loras: [name: string, weight: number][];
      }
  )[];
  encoded: { checkpoint: string; prompt: string }[];
  pairs: { prompt: string; negative: string }[];
  learned: { prompt: string }[];
};

export async function readGoldens<Facts>(
  stem: string,
): Promise<{ facts: Facts; tensor(name: string): GoldenTensor }> {
  const path = join(goldensDir, `${stem}.safetensors`);
  const tensors = await readSafetensors(path);
  const file = await readFile(path);
  const facts = JSON.parse(await readFile(join(goldensDir, `${stem}.json`), "utf8")) as Facts;
  return {
    facts,
    tensor(name) {
      const info = tensors.get(name);
      if (info === undefined) throw new Error(`no golden tensor ${name}`);
      const bytes = new Uint8Array(file.subarray(info.offsetBytes, info.offsetBytes + info.lengthBytes));
      const floats = info.dtype === "F32" ? new Float32Array(bytes.buffer) : new Float32Array();
      return { shape: info.shape, floats, bytes };
    },
  };
}

/** The largest absolute difference; infinite if one has another length or something that is not a number. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length || actual.length === 0) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, difference);
  }
  return largest;
}
