/**
 * Textual inversion: words that a model does not know, as embeddings that somebody trained. They are read for the
 * request that uses them and go into the text encoder beside its own, so the model stays as it is.
 */
import { open } from "node:fs/promises";
import { basename, extname } from "node:path";
import { diffusionError } from "../errors.ts";
import type { ClipTextConfig } from "../graphs/clip-text.ts";
import { readSafetensors, type TensorInfo } from "../safetensors.ts";

export type TextualInversion = {
  /** A safetensors file, as diffusers writes it (`{token: tensor}`) or with one tensor `emb_params`. */
  path: string;
  /**
   * What stands for the embedding in prompts, in any case. Default: the name of the tensor, or of the file if the
   * tensor is `emb_params`.
   */
  token?: string;
};

export type Learned = {
  /** For `withTokens` of the tokenizer: a token of several vectors is all of them, and `token_1` is the second. */
  tokens: ReadonlyMap<string, readonly number[]>;
  /** [all vectors, hiddenSize]; the first has the id `vocabSize`. */
  embeddings: Float32Array;
};

/** Real ones have up to a few dozen, and each takes the place of a word. */
const MAX_VECTORS = 256;
const UNNAMED = "emb_params";

/**
 * @throws ARGS_INVALID (two of them have the same token), MODEL_WEIGHTS_INVALID, MODEL_TENSOR_MISSING,
 * MODEL_TENSOR_MISMATCH, MODEL_UNSUPPORTED
 * @see https://arxiv.org/abs/2208.01618
 */
export async function readTextualInversions(
  files: readonly TextualInversion[],
  { vocabSize, hiddenSize }: ClipTextConfig,
): Promise<Learned> {
  const tokens = new Map<string, number[]>();
  const vectors: Float32Array[] = [];
  let nextId = vocabSize;
  const add = (token: string, ids: number[]): void => {
    if (token.trim() === "" || tokens.has(token)) {
      throw diffusionError("ARGS_INVALID", { field: "textualInversions", token });
    }
    tokens.set(token, ids);
  };
  for (const { path, token } of files) {
    const tensors = [...(await readSafetensors(path))];
    if (tensors.length === 0) throw diffusionError("MODEL_TENSOR_MISSING", { path, tensor: UNNAMED });
    if (tensors.length > 1 && token !== undefined) {
      throw diffusionError("MODEL_UNSUPPORTED", { path, reason: "one token for several embeddings" });
    }
    for (const [name, info] of tensors) {
      const count = countVectors(name, info, hiddenSize);
      const ids = Array.from({ length: count }, () => nextId++);
      const named = name === UNNAMED ? basename(path, extname(path)) : name;
      const own = (token ?? named).toLowerCase();
      add(own, ids);
      for (const [i, id] of ids.entries()) if (i > 0) add(`${own}_${i}`, [id]);
      vectors.push(await readNumbers(name, info));
    }
  }
  const embeddings = new Float32Array((nextId - vocabSize) * hiddenSize);
  let at = 0;
  for (const vector of vectors) {
    embeddings.set(vector, at);
    at += vector.length;
  }
  return { tokens, embeddings };
}

function countVectors(tensor: string, { shape, path }: TensorInfo, hiddenSize: number): number {
  const [count, size] = shape.length === 1 ? [1, shape[0]] : shape;
  if (shape.length > 2 || size !== hiddenSize || count === undefined || count < 1) {
    throw diffusionError("MODEL_TENSOR_MISMATCH", {
      path,
      tensor,
      shape: shape.join("×"),
      expected: `any×${hiddenSize}`,
    });
  }
  if (count > MAX_VECTORS) {
    throw diffusionError("MODEL_UNSUPPORTED", { path, tensor, vectors: count, maximum: MAX_VECTORS });
  }
  return count;
}

async function readNumbers(tensor: string, info: TensorInfo): Promise<Float32Array> {
  const { path, dtype, offsetBytes, lengthBytes } = info;
  await using file = await open(path, "r");
  const bytes = Buffer.alloc(lengthBytes);
  await file.read(bytes, 0, lengthBytes, offsetBytes);
  const numbers = decode(dtype, bytes);
  if (numbers === undefined) throw diffusionError("MODEL_UNSUPPORTED", { path, tensor, dtype });
  if (!numbers.every(Number.isFinite)) {
    throw diffusionError("MODEL_WEIGHTS_INVALID", { path, reason: `tensor ${tensor} is not finite` });
  }
  return numbers;
}

function decode(dtype: TensorInfo["dtype"], bytes: Buffer): Float32Array | undefined {
  switch (dtype) {
    case "F32":
      return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    case "F16":
      return Float32Array.from({ length: bytes.length / 2 }, (_, i) =>
        halfToNumber(bytes.readUInt16LE(2 * i)),
      );
    case "BF16": {
      const words = Uint32Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i) << 16);
      return new Float32Array(words.buffer);
    }
    default:
      return undefined;
  }
}

/** @see IEEE 754-2008, binary16 */
function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
