/**
 * The perceptual hash of a picture: 64 bits that stay (almost) the same when the picture looks the same.
 * Bit for bit that of goimagehash 1.1.0 `PerceptionHash` on amd64, which is what the network's results are compared by.
 *
 * 1. Shrink or stretch to 64 × 64 (resample.ts); a picture that has this size is taken as it is.
 * 2. Brightness: 0.299 R + 0.587 G + 0.114 B of the 8-bit colours, alpha multiplied in. The library takes a 16-bit colour
 *    down to 8 bits with ÷257 for red and green, but ÷256 for blue.
 * 3. DCT-II of the rows, then of the columns (dct64.ts). The 8 × 8 lowest frequencies, the constant one included, are what
 *    the eye notices first.
 * 4. A bit is 1 where the coefficient is above the median of the 64. The constant coefficient is the most significant bit.
 */
import { dct } from "./dct64.ts";
import { protocolError } from "./errors.ts";
import { createSampler, type PixelImage, type Sampler } from "./pixels.ts";
import { decodePng, defaultPngLimits, type PngLimits } from "./png.ts";
import { hashSide, resample } from "./resample.ts";

/** Bytes of one image's hash. */
export const phashBytes = 8;

/** Two hashes are similar below this Hamming distance (the contract's default). */
export const defaultDistanceThreshold = 5;

/**
 * @returns 8 bytes, most significant first.
 * @throws IMAGE_INVALID if the buffers do not fit the size.
 * @see Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), §3.2.1
 */
export function perceptionHash(image: PixelImage): Uint8Array {
  const asItIs = image.width === hashSide && image.height === hashSide;
  const sampler = createSampler(image, asItIs);
  const samples = asItIs ? readAll(sampler) : resample(sampler, image.width, image.height);
  return hashOfCoefficients(lowFrequencies(brightness(sampler, samples)));
}

/**
 * The hash of a PNG file.
 * @param limits What is decoded at all; default 4096 × 4096 pixels and 64 MiB. Decoding needs up to 16 bytes per pixel.
 * @returns 8 bytes.
 * @throws IMAGE_INVALID, IMAGE_TOO_LARGE
 */
export function imagePhash(png: Uint8Array, limits: PngLimits = defaultPngLimits): Uint8Array {
  return perceptionHash(decodePng(png, limits));
}

/**
 * An SD task's `result`: the hashes of its images in order.
 * @throws IMAGE_INVALID, IMAGE_TOO_LARGE
 */
export function imagesResult(pngs: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(phashBytes * pngs.length);
  pngs.forEach((png, i) => {
    result.set(imagePhash(png), phashBytes * i);
  });
  return result;
}

/**
 * The number of bits in which two byte strings differ.
 * @throws HASH_INPUT_INVALID if their lengths differ.
 */
export function hammingDistance(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) {
    throw protocolError("HASH_INPUT_INVALID", { expectedBytes: a.length, actualBytes: b.length });
  }
  let distance = 0;
  for (let i = 0; i < a.length; i++) {
    for (let bits = a[i]! ^ b[i]!; bits !== 0; bits &= bits - 1) distance++;
  }
  return distance;
}

/**
 * Whether two SD results agree: the same number of images (at least one), and every image's hash differs in strictly
 * fewer than `threshold` bits (docs/protocol.md §1).
 */
export function similar(a: Uint8Array, b: Uint8Array, threshold = defaultDistanceThreshold): boolean {
  if (a.length !== b.length || a.length === 0 || a.length % phashBytes !== 0) return false;
  for (let i = 0; i < a.length; i += phashBytes) {
    if (hammingDistance(a.subarray(i, i + phashBytes), b.subarray(i, i + phashBytes)) >= threshold)
      return false;
  }
  return true;
}

function readAll(sampler: Sampler): Uint16Array {
  const stride = hashSide * sampler.channels;
  const samples = new Uint16Array(hashSide * stride);
  for (let y = 0; y < hashSide; y++) sampler.readRow(y, samples.subarray(y * stride, (y + 1) * stride));
  return samples;
}

function brightness({ model, bits }: Sampler, samples: Uint16Array): Float64Array {
  const luma = new Float64Array(hashSide * hashSide);
  const from16 = (r: number, g: number, b: number) =>
    weighted(Math.floor(r / 257), Math.floor(g / 257), b >> 8);
  for (let i = 0; i < luma.length; i++) {
    const [a, b, c] =
      model === "gray"
        ? [samples[i]!, samples[i]!, samples[i]!]
        : [samples[3 * i]!, samples[3 * i + 1]!, samples[3 * i + 2]!];
    if (model === "ycc") luma[i] = from16(...rgb16OfYcc(a, b, c));
    else luma[i] = bits === 16 ? from16(a, b, c) : weighted(a, b, c);
  }
  return luma;
}

function weighted(r: number, g: number, b: number): number {
  return 0.299 * r + 0.587 * g + 0.114 * b;
}

/** JFIF's colour conversion with 16-bit fixed-point factors and 16-bit results, as in Go's `color.YCbCr.RGBA`. */
function rgb16OfYcc(y: number, cb: number, cr: number): [number, number, number] {
  const luma = y * 0x10101;
  return [
    clamp16(luma + 91881 * (cr - 128)),
    clamp16(luma - 22554 * (cb - 128) - 46802 * (cr - 128)),
    clamp16(luma + 116130 * (cb - 128)),
  ];
}

function clamp16(fixed: number): number {
  return Math.max(0, Math.min(0xffff, fixed >> 8));
}

function lowFrequencies(luma: Float64Array): Float64Array {
  for (let y = 0; y < hashSide; y++) dct(luma.subarray(y * hashSide, (y + 1) * hashSide));
  const low = new Float64Array(64);
  const column = new Float64Array(hashSide);
  for (let x = 0; x < 8; x++) {
    for (let y = 0; y < hashSide; y++) column[y] = luma[y * hashSide + x]!;
    dct(column);
    for (let y = 0; y < 8; y++) low[8 * y + x] = column[y]!;
  }
  return low;
}

function hashOfCoefficients(low: Float64Array): Uint8Array {
  const sorted = low.toSorted();
  const median = sorted[31]! / 2 + sorted[32]! / 2;
  const hash = new Uint8Array(phashBytes);
  low.forEach((value, i) => {
    if (value > median) hash[i >> 3]! |= 0x80 >> (i & 7);
  });
  return hash;
}
