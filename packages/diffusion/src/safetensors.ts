/**
 * Reads the header of a safetensors file, and nothing else of it: the weights stay where they are and ONNX Runtime
 * maps them. The header comes from strangers, so every number is checked before anything is allocated for it.
 */
import { open } from "node:fs/promises";
import { diffusionError } from "./errors.ts";

const BYTES_PER_ELEMENT = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type Dtype = keyof typeof BYTES_PER_ELEMENT;

export type TensorInfo = {
  dtype: Dtype;
  shape: readonly number[];
  /** The file the bytes are in. */
  path: string;
  /** From the beginning of the file. */
  offsetBytes: number;
  lengthBytes: number;
};

export type Tensors = ReadonlyMap<string, TensorInfo>;

/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * The tensors of a safetensors file, by name.
 *
 * @throws MODEL_WEIGHTS_INVALID if the header is not valid or does not describe the file exactly.
 * @see https://github.com/huggingface/safetensors#format
 */
export async function readSafetensors(path: string): Promise<Tensors> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const invalid = (reason: string, cause?: unknown) =>
    diffusionError("MODEL_WEIGHTS_INVALID", { path, reason }, cause);

  if (size < 8) throw invalid("shorter than a header length");
  const prefix = Buffer.alloc(8);
  await file.read(prefix, 0, 8, 0);
  const headerBytes = Number(prefix.readBigUInt64LE());
  if (headerBytes > MAX_HEADER_BYTES || headerBytes > size - 8) {
    throw invalid(`header of ${headerBytes} bytes in a file of ${size}`);
  }
  const header = Buffer.alloc(headerBytes);
  await file.read(header, 0, headerBytes, 8);

  let entries: [string, unknown][];
  try {
    const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(header));
    if (!isRecord(parsed)) throw new TypeError("not an object");
    entries = Object.entries(parsed).filter(([name]) => name !== "__metadata__");
  } catch (cause) {
    throw invalid("the header is not a JSON object", cause);
  }

  const dataStart = 8 + headerBytes;
  const tensors = entries.map(([name, entry]): [string, TensorInfo] => {
    const info = parseEntry(entry);
    if (typeof info === "string") throw invalid(`tensor ${name.slice(0, 200)}: ${info}`);
    return [name, { ...info, path, offsetBytes: dataStart + info.offsetBytes }];
  });

  let end = dataStart;
  for (const [name, { offsetBytes, lengthBytes }] of tensors.toSorted(byPlace)) {
    if (offsetBytes !== end) throw invalid(`tensor ${name.slice(0, 200)} overlaps or leaves a gap`);
    end = offsetBytes + lengthBytes;
  }
  if (end !== size) throw invalid(`tensors end at byte ${end} of ${size}`);
  return new Map(tensors);
}

function byPlace([, a]: [string, TensorInfo], [, b]: [string, TensorInfo]): number {
  return a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes;
}

/** The entry, its offset relative to the data, or what is wrong with it. */
function parseEntry(entry: unknown): Omit<TensorInfo, "path"> | string {
  if (!isRecord(entry)) return "not an object";
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES_PER_ELEMENT, dtype)) return "unknown dtype";
  if (!isSizes(shape)) return "shape is not a list of sizes";
  if (!isSizes(offsets) || offsets.length !== 2) return "data_offsets is not a pair of offsets";
  const [begin, end] = offsets as [number, number];
  const lengthBytes = shape.reduce((product, size) => product * size, 1) * BYTES_PER_ELEMENT[dtype as Dtype];
  if (!Number.isSafeInteger(lengthBytes)) return "too large";
  if (end - begin !== lengthBytes) return `${end - begin} bytes for a ${dtype} tensor of ${lengthBytes}`;
  return { dtype: dtype as Dtype, shape, offsetBytes: begin, lengthBytes };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
