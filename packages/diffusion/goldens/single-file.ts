/** Writes a checkpoint in one file anew, from the names, shapes and seed that goldens/single_file.py left. */
import { open } from "node:fs/promises";
import { createNoiseStream } from "../src/noise.ts";
import type { GoldenRun } from "./read.ts";

export const singleFiles = ["sd1-single-file", "sd2-single-file"] as const;

export type SingleFileFacts = {
  dtype: "F32" | "F16";
  seed: number;
  /** The checkpoint whose tokenizer it was made with. */
  tokenizer: string;
  ids: number[];
  runs: GoldenRun[];
  tensors: [name: string, shape: number[], factor: number, offset: number][];
};

export type SingleFileContents = {
  /** Further entries of the header. */
  metadata?: Record<string, string>;
  /** Names of empty tensors. */
  marks?: readonly string[];
  /** Default true; without them every number is zero. */
  weights?: boolean;
  /** Zeros before all else that a disk need not store. */
  paddingBytes?: number;
};

export async function writeSingleFile(
  path: string,
  { dtype, seed, tensors }: SingleFileFacts,
  { metadata, marks = [], weights = true, paddingBytes = 0 }: SingleFileContents = {},
): Promise<void> {
  const noise = createNoiseStream(seed);
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  const parts: Uint8Array[] = [];
  if (paddingBytes > 0) header.padding = { dtype: "U8", shape: [paddingBytes], data_offsets: [0, paddingBytes] };
  let end = paddingBytes;
  for (const [name, shape, factor, offset] of tensors) {
    const count = shape.reduce((product, size) => product * size, 1);
    const lengthBytes = count * (dtype === "F32" ? 4 : 2);
    header[name] = { dtype, shape, data_offsets: [end, end + lengthBytes] };
    end += lengthBytes;
    if (!weights) continue;
    const single = Math.fround(factor);
    const values = noise.normal(count).map((value) => Math.fround(value * single) + offset);
    parts.push(new Uint8Array((dtype === "F32" ? values : new Float16Array(values)).buffer));
  }
  for (const mark of marks) header[mark] = { dtype: "F32", shape: [0], data_offsets: [end, end] };
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  await using file = await open(path, "w");
  await file.writev([prefix, json]);
  if (parts.length > 0) await file.writev(parts, prefix.length + json.length + paddingBytes);
  await file.truncate(prefix.length + json.length + end);
}
