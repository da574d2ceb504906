/**
 * Reads the header of a safetensors file, and nothing else of it: the weights stay where they are and ONNX Runtime
 * maps them. The header comes from strangers, so every number is checked before anything is allocated for it.
 */
import { open, stat } from "node:fs/promises";
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

/**
 * The format allows 100 MB. What a parsed header takes is tens of times what it takes in the file, and the largest
 * ones of real models are a hundredth of this.
 */
const MAX_HEADER_BYTES = 16_000_000;

/** A header is an object of tensors, which are objects of lists. */
const MAX_DEPTH = 3;

export type Safetensors = {
  tensors: Tensors;
  /** `__metadata__`, as far as it is text. */
  metadata: Readonly<Record<string, string>>;
};

/**
 * The tensors of a safetensors file, by name.
 *
 * @throws MODEL_WEIGHTS_INVALID if the header is not valid or does not describe the file exactly.
 * @see https://github.com/huggingface/safetensors#format
 */
export async function readSafetensors(path: string): Promise<Tensors> {
  return (await readSafetensorsFile(path)).tensors;
}

/**
 * The tensors of a safetensors file, by name, and what else the header says.
 *
 * @throws MODEL_WEIGHTS_INVALID if the header is not valid or does not describe the file exactly.
 */
export async function readSafetensorsFile(path: string): Promise<Safetensors> {
  const { header, size } = await readHeader(path);
  return parseHeader(header, size, path);
}

/**
 * What the bytes of a header say about a file of this size.
 *
 * @throws MODEL_WEIGHTS_INVALID
 */
export function parseHeader(header: Uint8Array, size: number, path: string): Safetensors {
  const invalid = (reason: string, cause?: unknown) => weightsInvalid(path, reason, cause);
  const dataStart = 8 + header.length;
  let parsed: unknown;
  try {
    if (isDeeperThan(MAX_DEPTH, header)) throw new TypeError("nested too deeply");
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(header));
  } catch (cause) {
    throw invalid("the header is not a JSON object", cause);
  }
  if (!isRecord(parsed)) throw invalid("the header is not a JSON object");
  const metadata = isRecord(parsed.__metadata__) ? parsed.__metadata__ : {};
  const entries = Object.entries(parsed).filter(([name]) => name !== "__metadata__");

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
  return {
    tensors: new Map(tensors),
    metadata: Object.fromEntries(
      Object.entries(metadata).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    ),
  };
}

/** The bytes of the header, and the size of the whole file. */
async function readHeader(path: string): Promise<{ header: Buffer; size: number }> {
  const invalid = (reason: string, cause?: unknown) => weightsInvalid(path, reason, cause);
  const unreadable = (cause: unknown) => invalid("cannot be read", cause);
  // Opening a pipe would wait for its other end.
  if (!(await stat(path).catch((cause) => Promise.reject(unreadable(cause)))).isFile()) {
    throw invalid("not a file");
  }
  await using file = await open(path, "r").catch((cause) => Promise.reject(unreadable(cause)));
  const { size } = await file.stat();
  if (size < 8) throw invalid("shorter than a header length");
  const prefix = Buffer.alloc(8);
  await file.read(prefix, 0, 8, 0);
  const headerBytes = Number(prefix.readBigUInt64LE());
  if (headerBytes > MAX_HEADER_BYTES || headerBytes > size - 8) {
    throw invalid(`header of ${headerBytes} bytes in a file of ${size}`);
  }
  const header = Buffer.alloc(headerBytes);
  await file.read(header, 0, headerBytes, 8);
  return { header, size };
}

function weightsInvalid(path: string, reason: string, cause?: unknown): Error {
  return diffusionError("MODEL_WEIGHTS_INVALID", { path, reason }, cause);
}

/** Whether JSON has lists and objects within each other beyond a depth, found without parsing it. */
function isDeeperThan(limit: number, json: Uint8Array): boolean {
  let depth = 0;
  let inText = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (inText) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inText = false;
    } else if (byte === 0x22) inText = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
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
