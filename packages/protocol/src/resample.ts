/**
 * The resizer under the perceptual hash: `nfnt/resize` (commit 83c6a993) with its `Bilinear` filter, in integers.
 *
 * Every output sample is a weighted mean of the input samples around it. A weight is the height of a triangle over the
 * sample, times 256 (65,536 for 16-bit images), truncated; the sum is divided by the sum of the weights, truncated.
 * Columns first, rounded back to integers, then rows: both roundings show in the result. When shrinking the triangle is
 * as wide as the reduction, so that no input sample is skipped. Beyond the edge the outermost sample is repeated.
 */
import type { Sampler } from "./pixels.ts";

/** Both sides of the resized image. */
export const hashSide = 64;

/** Resizes to 64 × 64; returns interleaved samples of the sampler's depth. */
export function resample(sampler: Sampler, width: number, height: number): Uint16Array {
  const { channels } = sampler;
  const horizontal = createWeights(width, sampler.bits);
  const vertical = createWeights(height, sampler.bits);

  const stride = hashSide * channels;
  const columns = new Uint16Array(height * stride);
  const row = new Uint16Array(width * channels);
  for (let y = 0; y < height; y++) {
    sampler.readRow(y, row);
    for (let x = 0; x < hashSide; x++) {
      for (let c = 0; c < channels; c++) {
        columns[y * stride + x * channels + c] = weigh(horizontal, x, row, c, channels);
      }
    }
  }
  const result = new Uint16Array(hashSide * stride);
  for (let y = 0; y < hashSide; y++) {
    for (let i = 0; i < stride; i++) result[y * stride + i] = weigh(vertical, y, columns, i, stride);
  }
  return result;
}

type Weights = {
  taps: number;
  /** Per output sample: the taps' integer weights. */
  values: Int32Array;
  /** Per output sample: the first tap's index in the input, which may lie outside. */
  start: Int32Array;
  last: number;
};

function createWeights(length: number, bits: 8 | 16): Weights {
  const scale = length / hashSide;
  const one = bits === 8 ? 256 : 65536;
  const taps = 2 * Math.max(Math.ceil(scale), 1);
  const narrowing = Math.min(1 / scale, 1);
  const values = new Int32Array(hashSide * taps);
  const start = new Int32Array(hashSide);
  for (let i = 0; i < hashSide; i++) {
    const centre = scale * (i + 0.5) - 0.5;
    const first = Math.trunc(centre) - taps / 2 + 1;
    start[i] = first;
    for (let tap = 0; tap < taps; tap++) {
      const distance = Math.abs((centre - first - tap) * narrowing);
      values[i * taps + tap] = distance <= 1 ? Math.trunc((1 - distance) * one) : 0;
    }
  }
  return { taps, values, start, last: length - 1 };
}

function weigh(weights: Weights, i: number, samples: Uint16Array, offset: number, stride: number): number {
  const { taps, values, last } = weights;
  const first = weights.start[i]!;
  let sum = 0;
  let total = 0;
  for (let tap = 0; tap < taps; tap++) {
    const weight = values[i * taps + tap]!;
    if (weight === 0) continue;
    const at = first + tap;
    sum += weight * samples[offset + stride * Math.max(0, Math.min(at, last))]!;
    total += weight;
  }
  return Math.floor(sum / total);
}
