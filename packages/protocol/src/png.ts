/**
 * PNG to pixels (W3C PNG, third edition), all colour types, depths and both interlacings, into the same in-memory types as
 * Go's `image/png`. Written for files from strangers: dimensions are checked before anything is allocated, the inflated
 * size is known beforehand and never exceeded, every checksum is verified, and what is not well-formed is refused.
 */
import { Inflate } from "fflate";
import { protocolError } from "./errors.ts";
import type { PixelImage } from "./pixels.ts";

export type PngLimits = { maxWidthPx: number; maxHeightPx: number; maxFileBytes: number };

export const defaultPngLimits: PngLimits = {
  maxWidthPx: 4096,
  maxHeightPx: 4096,
  maxFileBytes: 64 * 1024 * 1024,
};

type Header = {
  width: number;
  height: number;
  depth: 1 | 2 | 4 | 8 | 16;
  colourType: 0 | 2 | 3 | 4 | 6;
  interlaced: boolean;
};

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const channelsOf = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const;
const depthsOf = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] } as const;
const wholeImage = [[0, 0, 1, 1]] as const;
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/**
 * Width and height in pixels from a PNG's header, without decoding it.
 * @throws IMAGE_INVALID
 */
export function pngSize(png: Uint8Array): { width: number; height: number } {
  const { width, height } = readHeader(png);
  return { width, height };
}

/**
 * @returns The pixels, in the representation that Go's decoder would choose (see {@link PixelImage}).
 * @throws IMAGE_INVALID if it is not one complete, well-formed PNG.
 * @throws IMAGE_TOO_LARGE beyond the limits (4096 × 4096 pixels, 64 MiB of file), before any decoding.
 */
export function decodePng(png: Uint8Array, limits: PngLimits = defaultPngLimits): PixelImage {
  if (png.length > limits.maxFileBytes) {
    throw protocolError("IMAGE_TOO_LARGE", { fileBytes: png.length, maxFileBytes: limits.maxFileBytes });
  }
  const header = readHeader(png);
  if (header.width > limits.maxWidthPx || header.height > limits.maxHeightPx) {
    throw protocolError("IMAGE_TOO_LARGE", { widthPx: header.width, heightPx: header.height, ...limits });
  }
  const { palette, transparent, data } = readChunks(png, header);
  const raw = inflate(data, rawBytes(header));
  const put = createCanvas(header, palette, transparent);
  unfilter(header, raw, put.pixel);
  return put.image;
}

function readHeader(png: Uint8Array): Header {
  if (png.length < 33 || signature.some((byte, i) => png[i] !== byte)) throw invalid("not a PNG");
  const view = viewOf(png);
  if (view.getUint32(8) !== 13 || chunkType(png, 12) !== "IHDR") throw invalid("no IHDR");
  if (view.getUint32(29) !== crc32(png, 12, 29)) throw invalid("checksum of IHDR");
  const width = view.getInt32(16);
  const height = view.getInt32(20);
  const [depth, colourType, compression, filter, interlace] = png.subarray(24, 29);
  const depths: readonly number[] | undefined = depthsOf[colourType as keyof typeof depthsOf];
  if (width <= 0 || height <= 0) throw invalid("dimensions");
  if (!depths?.includes(depth!)) throw invalid("colour type and bit depth");
  if (compression !== 0 || filter !== 0 || interlace! > 1)
    throw invalid("compression, filter or interlace method");
  return { width, height, depth, colourType, interlaced: interlace === 1 } as Header;
}

type Chunks = { palette: Uint8Array | undefined; transparent: Uint8Array | undefined; data: Uint8Array[] };

function readChunks(png: Uint8Array, { colourType, depth }: Header): Chunks {
  const view = viewOf(png);
  const chunks: Chunks = { palette: undefined, transparent: undefined, data: [] };
  let dataEnded = false;
  for (let at = 33; ; ) {
    if (at + 12 > png.length) throw invalid("no IEND");
    const length = view.getUint32(at);
    const type = chunkType(png, at + 4);
    const end = at + 8 + length;
    if (end + 4 > png.length) throw invalid(`truncated ${type}`);
    if (view.getUint32(end) !== crc32(png, at + 4, end)) throw invalid(`checksum of ${type}`);
    const body = png.subarray(at + 8, end);
    const beforeData = chunks.data.length === 0;
    if (!beforeData && type !== "IDAT") dataEnded = true;
    switch (type) {
      case "PLTE":
        if (!beforeData || chunks.palette || chunks.transparent || colourType === 0 || colourType === 4) {
          throw invalid("PLTE out of place");
        }
        if (length === 0 || length % 3 !== 0 || length > 3 * Math.min(256, 1 << depth))
          throw invalid("PLTE length");
        chunks.palette = body;
        break;
      case "tRNS":
        if (!beforeData || chunks.transparent || colourType >= 4 || (colourType === 3 && !chunks.palette)) {
          throw invalid("tRNS out of place");
        }
        if (colourType === 3 ? length > 256 : length !== 2 * channelsOf[colourType])
          throw invalid("tRNS length");
        chunks.transparent = body;
        break;
      case "IDAT":
        if (dataEnded || (colourType === 3 && !chunks.palette)) throw invalid("IDAT out of place");
        chunks.data.push(body);
        break;
      case "IEND":
        if (beforeData || length !== 0) throw invalid("IEND out of place");
        if (end + 4 !== png.length) throw invalid("bytes after IEND");
        return chunks;
      default:
        // A capital first letter marks a chunk that nobody may ignore.
        if (!/^[a-z][A-Za-z]{3}$/.test(type)) throw invalid("unknown critical chunk");
    }
    at = end + 4;
  }
}

function rawBytes(header: Header): number {
  let bytes = 0;
  for (const { rows, rowBytes } of passesOf(header)) bytes += rows * (1 + rowBytes);
  return bytes;
}

function passesOf({ width, height, depth, colourType, interlaced }: Header) {
  return (interlaced ? adam7 : wholeImage)
    .map(([x0, y0, stepX, stepY]) => {
      const columns = Math.max(0, Math.ceil((width - x0) / stepX));
      const rows = columns === 0 ? 0 : Math.max(0, Math.ceil((height - y0) / stepY));
      return {
        x0,
        y0,
        stepX,
        stepY,
        columns,
        rows,
        rowBytes: Math.ceil((columns * channelsOf[colourType] * depth) / 8),
      };
    })
    .filter((pass) => pass.rows > 0);
}

/** Inflates a zlib stream (RFC 1950) of known size, stopping at the first byte too many. */
function inflate(parts: readonly Uint8Array[], expectedBytes: number): Uint8Array {
  const stream = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    stream.set(part, offset);
    offset += part.length;
  }
  const view = viewOf(stream);
  const [method = 0, flags = 0] = stream;
  if (
    stream.length < 8 ||
    (method & 15) !== 8 ||
    method >> 4 > 7 ||
    flags & 32 ||
    view.getUint16(0) % 31 !== 0
  ) {
    throw invalid("zlib header");
  }
  const raw = new Uint8Array(expectedBytes);
  let filled = 0;
  const inflater = new Inflate((chunk) => {
    if (filled + chunk.length > expectedBytes) throw invalid("too much pixel data");
    raw.set(chunk, filled);
    filled += chunk.length;
  });
  const sliceBytes = 16 * 1024;
  const end = stream.length - 4;
  try {
    for (let at = 2; at < end; at += sliceBytes) {
      inflater.push(stream.subarray(at, Math.min(end, at + sliceBytes)), at + sliceBytes >= end);
    }
  } catch (cause) {
    throw filled > expectedBytes ? cause : invalid("compressed data", cause);
  }
  if (filled !== expectedBytes) throw invalid("not enough pixel data");
  if (view.getUint32(end) !== adler32(raw)) throw invalid("checksum of the pixel data");
  return raw;
}

type PutPixel = (x: number, y: number, samples: Uint16Array, at: number) => void;

/** Undoes the row filters and hands out one pixel after the other, its samples unscaled. */
function unfilter(header: Header, raw: Uint8Array, put: PutPixel): void {
  const { depth, colourType } = header;
  const channels = channelsOf[colourType];
  const pixelBytes = Math.max(1, (channels * depth) / 8);
  const samples = new Uint16Array(header.width * channels);
  let at = 0;
  for (const pass of passesOf(header)) {
    let above: Uint8Array = new Uint8Array(pass.rowBytes);
    for (let row = 0; row < pass.rows; row++) {
      const filter = raw[at]!;
      const line = raw.subarray(at + 1, at + 1 + pass.rowBytes);
      at += 1 + pass.rowBytes;
      unfilterRow(filter, line, above, pixelBytes);
      above = line;
      readSamples(line, depth, pass.columns * channels, samples);
      for (let i = 0; i < pass.columns; i++) {
        put(pass.x0 + i * pass.stepX, pass.y0 + row * pass.stepY, samples, i * channels);
      }
    }
  }
}

function unfilterRow(filter: number, line: Uint8Array, above: Uint8Array, pixelBytes: number): void {
  if (filter > 4) throw invalid("filter type");
  if (filter === 0) return;
  for (let i = 0; i < line.length; i++) {
    const a = i < pixelBytes ? 0 : line[i - pixelBytes]!;
    const b = above[i]!;
    if (filter === 1) line[i]! += a;
    else if (filter === 2) line[i]! += b;
    else if (filter === 3) line[i]! += (a + b) >> 1;
    else line[i]! += paeth(a, b, i < pixelBytes ? 0 : above[i - pixelBytes]!);
  }
}

function paeth(a: number, b: number, c: number): number {
  const toA = Math.abs(b - c);
  const toB = Math.abs(a - c);
  const toC = Math.abs(a + b - 2 * c);
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}

function readSamples(line: Uint8Array, depth: Header["depth"], count: number, samples: Uint16Array): void {
  if (depth === 8) samples.set(line);
  else if (depth === 16) for (let i = 0; i < count; i++) samples[i] = (line[2 * i]! << 8) | line[2 * i + 1]!;
  else {
    const mask = (1 << depth) - 1;
    for (let i = 0; i < count; i++) {
      const bit = i * depth;
      samples[i] = (line[bit >> 3]! >> (8 - depth - (bit & 7))) & mask;
    }
  }
}

/** An empty image of the right kind, and how to set a pixel of it. */
function createCanvas(
  { width, height, depth, colourType }: Header,
  palette: Uint8Array | undefined,
  transparent: Uint8Array | undefined,
): { image: PixelImage; pixel: PutPixel } {
  if (colourType === 3) {
    const data = new Uint8Array(width * height);
    const image: PixelImage = {
      kind: "paletted",
      width,
      height,
      data,
      palette: fullPalette(palette!, transparent),
    };
    return { image, pixel: (x, y, samples, at) => (data[y * width + x] = samples[at]!) };
  }
  const wide = depth === 16;
  const opaque = wide ? 0xffff : 0xff;
  if (colourType === 0 && !transparent) {
    const data = wide ? new Uint16Array(width * height) : new Uint8Array(width * height);
    const scale = wide ? 1 : 255 / ((1 << depth) - 1);
    const image = { kind: wide ? "gray16" : "gray8", width, height, data } as PixelImage;
    return { image, pixel: (x, y, samples, at) => (data[y * width + x] = samples[at]! * scale) };
  }
  const data = wide ? new Uint16Array(4 * width * height) : new Uint8Array(4 * width * height);
  const layout = colourType === 2 && !transparent ? "rgba" : "nrgba";
  const image = { kind: `${layout}${wide ? 16 : 8}`, width, height, data } as PixelImage;
  const gray = colourType === 0 || colourType === 4;
  const scale = colourType === 0 && !wide ? 255 / ((1 << depth) - 1) : 1;
  const hasAlpha = colourType >= 4;
  const channels = gray ? 1 : 3;
  const key = transparent && Array.from({ length: channels }, (_, c) => keySample(transparent, c, wide));
  const pixel: PutPixel = (x, y, samples, at) => {
    const to = 4 * (y * width + x);
    for (let c = 0; c < 3; c++) data[to + c] = samples[at + (gray ? 0 : c)]! * scale;
    if (hasAlpha) data[to + 3] = samples[at + channels]!;
    else data[to + 3] = key?.every((value, c) => samples[at + c] === value) ? 0 : opaque;
  };
  return { image, pixel };
}

function keySample(transparent: Uint8Array, channel: number, wide: boolean): number {
  return (wide ? transparent[2 * channel]! << 8 : 0) | transparent[2 * channel + 1]!;
}

/** 256 entries of R G B A; those that the file does not define are opaque black, as in libpng and Go. */
function fullPalette(colours: Uint8Array, alphas: Uint8Array | undefined): Uint8Array {
  const palette = new Uint8Array(4 * 256);
  for (let i = 0; i < 256; i++) {
    for (let c = 0; c < 3; c++) palette[4 * i + c] = colours[3 * i + c] ?? 0;
    palette[4 * i + 3] = alphas?.[i] ?? 255;
  }
  return palette;
}

function chunkType(png: Uint8Array, at: number): string {
  return String.fromCharCode(...png.subarray(at, at + 4));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

function crc32(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0xffffffff;
  for (let i = from; i < to; i++) crc = crcTable[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (let i = 0; i < bytes.length; ) {
    // 3,800 sums of bytes stay far below 2^53; a modulo now and then is enough.
    const end = Math.min(i + 3800, bytes.length);
    for (; i < end; i++) {
      a += bytes[i]!;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

function invalid(reason: string, cause?: unknown) {
  return protocolError("IMAGE_INVALID", { reason }, cause);
}
