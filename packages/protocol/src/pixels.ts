/**
 * Images as Go's `image` package holds them, because the perceptual hash depends on it: the resizer treats each
 * in-memory type differently (8- or 16-bit arithmetic, when alpha is multiplied in, where chroma is up-sampled).
 */
import { protocolError } from "./errors.ts";

export type ChromaRatio = "444" | "422" | "420" | "440" | "411" | "410";

/**
 * Decoded pixels, row-major from the top left, without padding (`ycbcr` has strides).
 *
 * | kind       | Go type         | PNG colour type it is decoded from                     |
 * | ---------- | --------------- | ------------------------------------------------------ |
 * | `gray8`    | `image.Gray`    | 0 with 1, 2, 4 or 8 bits (scaled up to 0…255)          |
 * | `gray16`   | `image.Gray16`  | 0 with 16 bits                                         |
 * | `rgba8`    | `image.RGBA`    | 2 with 8 bits; R G B A, multiplied by alpha            |
 * | `rgba16`   | `image.RGBA64`  | 2 with 16 bits; multiplied by alpha                    |
 * | `nrgba8`   | `image.NRGBA`   | 4 and 6 with 8 bits; 0 and 2 up to 8 bits with tRNS    |
 * | `nrgba16`  | `image.NRGBA64` | 4 and 6 with 16 bits; 0 and 2 with 16 bits and tRNS    |
 * | `paletted` | `image.Paletted`| 3; `palette` is R G B A per entry, not multiplied      |
 * | `ycbcr`    | `image.YCbCr`   | (JPEG)                                                 |
 */
export type PixelImage =
  | { kind: "gray8" | "rgba8" | "nrgba8"; width: number; height: number; data: Uint8Array }
  | { kind: "gray16" | "rgba16" | "nrgba16"; width: number; height: number; data: Uint16Array }
  | { kind: "paletted"; width: number; height: number; data: Uint8Array; palette: Uint8Array }
  | {
      kind: "ycbcr";
      width: number;
      height: number;
      ratio: ChromaRatio;
      y: Uint8Array;
      cb: Uint8Array;
      cr: Uint8Array;
      yStride: number;
      cStride: number;
    };

/** How the hash reads an image: rows of samples that the resizer weighs, in one of three colour models. */
export type Sampler = {
  model: "gray" | "rgb" | "ycc";
  bits: 8 | 16;
  channels: 1 | 3;
  /** Writes row `y`, channels interleaved. */
  readRow(y: number, into: Uint16Array): void;
};

/** Right shifts of x and y that lead from a pixel to its chroma sample. */
const chromaShifts: Record<ChromaRatio, readonly [x: number, y: number]> = {
  "444": [0, 0],
  "422": [1, 0],
  "420": [1, 1],
  "440": [0, 1],
  "411": [2, 0],
  "410": [2, 1],
};

/**
 * @param wide Multiply alpha in 16 bits, as Go's `Color.RGBA()` does, where the resizer would use 8.
 * @throws IMAGE_INVALID if the buffers do not fit the size.
 */
export function createSampler(image: PixelImage, wide: boolean): Sampler {
  checkBuffers(image);
  const { width } = image;
  switch (image.kind) {
    case "gray8":
    case "gray16":
      return {
        model: "gray",
        bits: image.kind === "gray8" ? 8 : 16,
        channels: 1,
        readRow: (y, into) => into.set(image.data.subarray(y * width, (y + 1) * width)),
      };
    case "rgba8":
    case "rgba16":
      return rgbSampler(image.kind === "rgba8" ? 8 : 16, width, image.data, (value) => value);
    case "nrgba8":
      return wide
        ? rgbSampler(16, width, image.data, (value, alpha) => Math.floor((value * 257 * alpha) / 255))
        : rgbSampler(8, width, image.data, (value, alpha) => Math.floor((value * alpha) / 255));
    case "nrgba16":
      return rgbSampler(16, width, image.data, (value, alpha) => Math.floor((value * alpha) / 65535));
    case "paletted": {
      const colours = new Uint16Array((image.palette.length / 4) * 3);
      rgbSampler(16, image.palette.length / 4, image.palette, (value, alpha) =>
        Math.floor((value * 257 * alpha) / 255),
      ).readRow(0, colours);
      return {
        model: "rgb",
        bits: 16,
        channels: 3,
        readRow(y, into) {
          for (let x = 0; x < width; x++) {
            const entry = 3 * image.data[y * width + x]!;
            for (let c = 0; c < 3; c++) into[3 * x + c] = colours[entry + c]!;
          }
        },
      };
    }
    case "ycbcr": {
      const [shiftX, shiftY] = chromaShifts[image.ratio];
      return {
        model: "ycc",
        bits: 8,
        channels: 3,
        readRow(y, into) {
          for (let x = 0; x < width; x++) {
            const chroma = (y >> shiftY) * image.cStride + (x >> shiftX);
            into[3 * x] = image.y[y * image.yStride + x]!;
            into[3 * x + 1] = image.cb[chroma]!;
            into[3 * x + 2] = image.cr[chroma]!;
          }
        },
      };
    }
  }
}

function rgbSampler(
  bits: 8 | 16,
  width: number,
  data: Uint8Array | Uint16Array,
  scale: (value: number, alpha: number) => number,
): Sampler {
  return {
    model: "rgb",
    bits,
    channels: 3,
    readRow(y, into) {
      let from = 4 * y * width;
      for (let x = 0; x < width; x++, from += 4) {
        const alpha = data[from + 3]!;
        for (let c = 0; c < 3; c++) into[3 * x + c] = scale(data[from + c]!, alpha);
      }
    },
  };
}

function checkBuffers(image: PixelImage): void {
  const { kind, width, height } = image;
  const sized = Number.isSafeInteger(width) && Number.isSafeInteger(height) && width > 0 && height > 0;
  if (!sized || !buffersFit(image)) throw protocolError("IMAGE_INVALID", { kind, width, height });
}

function buffersFit(image: PixelImage): boolean {
  const { width, height } = image;
  switch (image.kind) {
    case "gray8":
    case "gray16":
      return image.data.length === width * height;
    case "paletted": {
      const entries = image.palette.length / 4;
      return image.data.length === width * height && image.data.every((index) => index < entries);
    }
    case "ycbcr": {
      const [shiftX, shiftY] = chromaShifts[image.ratio];
      const chroma = ((height - 1) >> shiftY) * image.cStride + ((width - 1) >> shiftX);
      const luma = (height - 1) * image.yStride + width - 1;
      return luma < image.y.length && chroma < image.cb.length && chroma < image.cr.length;
    }
    default:
      return image.data.length === 4 * width * height;
  }
}
