/** The made-up pixels of test-vectors/protocol/phash/generate/patterns.go, once more. */
import type { ChromaRatio, PixelImage } from "../pixels.ts";

export type PixelCase = {
  kind: PixelImage["kind"];
  ratio?: ChromaRatio;
  pattern: string;
  seed: number;
  width: number;
  height: number;
};

const paletteEntries = 23;

function hash32(seed: number, x: number, y: number, c: number): number {
  let h =
    Math.imul(seed, 0x9e3779b1) ^
    Math.imul(x, 0x85ebca77) ^
    Math.imul(y, 0xc2b2ae3d) ^
    Math.imul(c, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

function sample16({ pattern, seed, width, height }: PixelCase, x: number, y: number, c: number): number {
  switch (pattern) {
    case "noise":
      return hash32(seed, x, y, c) & 0xffff;
    case "waves": {
      const a = (hash32(seed, 1, 0, c) % 7) + 1;
      const b = (hash32(seed, 2, 0, c) % 7) + 1;
      const t = (x * a * 97 + y * b * 61 + (hash32(seed, 3, 0, c) % 1024)) % 1024;
      return (t >= 512 ? 1023 - t : t) * 128;
    }
    case "disc": {
      const dx = 2 * x - width;
      const dy = 2 * y - height;
      const side = Math.min(width, height);
      if (dx * dx + dy * dy < Math.trunc((side * side * 3) / 4)) return hash32(seed, 5, 0, c) & 0xffff;
      return hash32(seed, 6, Math.trunc((x * 4) / width), c) & 0xffff;
    }
    case "checker":
      return hash32(seed, (Math.trunc(x / 3) + Math.trunc(y / 5)) % 2 === 0 ? 7 : 8, 0, c) & 0xffff;
    case "flat":
      return hash32(seed, 9, 0, c) & 0xffff;
    case "faint":
      return (hash32(seed, 12, 0, c) % 60_000) + (hash32(seed, x, y, c) % 900);
    default:
      return pattern === "white" ? 0xffff : 0;
  }
}

export function makeImage(one: PixelCase): PixelImage {
  const { kind, width, height } = one;
  const fill8 = (into: Uint8Array, stride: number, at: (x: number, y: number) => number) => {
    for (let y = 0; y * stride < into.length; y++) {
      for (let x = 0; x < stride; x++) into[y * stride + x] = at(x, y);
    }
    return into;
  };
  const at8 = (c: number) => (x: number, y: number) => sample16(one, x, y, c) >> 8;
  switch (kind) {
    case "gray8":
      return { kind, width, height, data: fill8(new Uint8Array(width * height), width, at8(0)) };
    case "gray16": {
      const data = Uint16Array.from({ length: width * height }, (_, i) =>
        sample16(one, i % width, Math.trunc(i / width), 0),
      );
      return { kind, width, height, data };
    }
    case "paletted": {
      const palette = Uint8Array.from({ length: 4 * paletteEntries }, (_, i) =>
        hash32(one.seed, 10, i >> 2, i & 3),
      );
      const index = (x: number, y: number) => (sample16(one, x, y, 0) * paletteEntries) >> 16;
      return { kind, width, height, palette, data: fill8(new Uint8Array(width * height), width, index) };
    }
    case "ycbcr": {
      const ratio = one.ratio!;
      const [stepX, stepY] = { 444: [1, 1], 422: [2, 1], 420: [2, 2], 440: [1, 2], 411: [4, 1], 410: [4, 2] }[
        ratio
      ] as [number, number];
      const cStride = Math.ceil(width / stepX);
      const chroma = (c: number) =>
        fill8(new Uint8Array(cStride * Math.ceil(height / stepY)), cStride, at8(c));
      const y = fill8(new Uint8Array(width * height), width, at8(0));
      return { kind, width, height, ratio, y, cb: chroma(1), cr: chroma(2), yStride: width, cStride };
    }
    default: {
      const wide = kind.endsWith("16");
      const length = 4 * width * height;
      const data = wide ? new Uint16Array(length) : new Uint8Array(length);
      const opaque = kind.startsWith("rgba");
      for (let i = 0; i < length; i++) {
        const pixel = i >> 2;
        const value =
          opaque && (i & 3) === 3 ? 0xffff : sample16(one, pixel % width, Math.trunc(pixel / width), i & 3);
        data[i] = wide ? value : value >> 8;
      }
      return { kind, width, height, data } as PixelImage;
    }
  }
}
