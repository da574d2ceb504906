import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { isHydrogenError } from "@hydrogen/std";
import { imagePhash } from "./phash.ts";
import { decodePng, pngSize } from "./png.ts";
import { createRandom } from "./testing/random.ts";

const folder = new URL("../../../test-vectors/protocol/phash/png/", import.meta.url);
const files = readdirSync(folder);
const read = (file: string) => new Uint8Array(readFileSync(new URL(file, folder)));

const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  crc.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, crc]);
}

function header(width: number, height: number, depth = 8, colourType = 2, rest = [0, 0, 0]): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width >>> 0, 0);
  data.writeUInt32BE(height >>> 0, 4);
  data.set([depth, colourType, ...rest], 8);
  return chunk("IHDR", data);
}

const end = chunk("IEND", new Uint8Array());
const pixels = (bytes: number) => chunk("IDAT", deflateSync(new Uint8Array(bytes)));
const png = (...chunks: Uint8Array[]) => new Uint8Array(Buffer.concat([signature, ...chunks]));
const invalid = { code: "IMAGE_INVALID" };

test("reads the size without decoding", () => {
  assert.deepEqual(pngSize(read("rgb8-768x1024.png")), { width: 768, height: 1024 });
  assert.throws(() => pngSize(new Uint8Array(40)), invalid);
});

test("decodes a minimal file", () => {
  const image = decodePng(png(header(2, 1), pixels(7), end));
  assert.deepEqual(image, {
    kind: "rgba8",
    width: 2,
    height: 1,
    data: Uint8Array.of(0, 0, 0, 255, 0, 0, 0, 255),
  });
});

test("refuses dimensions above the limit before it allocates or inflates", () => {
  assert.throws(() => decodePng(png(header(4097, 1), pixels(1), end)), { code: "IMAGE_TOO_LARGE" });
  assert.throws(() => decodePng(png(header(1, 2 ** 31 - 1), pixels(1), end)), { code: "IMAGE_TOO_LARGE" });
  const limits = { maxWidthPx: 10, maxHeightPx: 10, maxFileBytes: 1000 };
  assert.throws(() => decodePng(png(header(11, 1), pixels(34), end), limits), { code: "IMAGE_TOO_LARGE" });
  assert.throws(() => decodePng(new Uint8Array(1001), limits), { code: "IMAGE_TOO_LARGE" });
});

test("stops inflating at the first byte too many", () => {
  // 256 MiB of zeros in 256 KB of file, behind a header that promises one pixel.
  const bomb = png(header(1, 1), pixels(256 * 1024 * 1024), end);
  assert.ok(bomb.length < 300_000);
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(() => decodePng(bomb), invalid);
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
});

test("refuses malformed structure", () => {
  const palette = chunk("PLTE", Uint8Array.of(1, 2, 3));
  const cases: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    "signature only": png(),
    "zero width": png(header(0, 1), pixels(1), end),
    "negative height": png(header(1, -1), pixels(1), end),
    "colour type 1": png(header(1, 1, 8, 1), pixels(4), end),
    "depth 4 with colour": png(header(1, 1, 4, 2), pixels(4), end),
    "filter method": png(header(1, 1, 8, 2, [0, 1, 0]), pixels(4), end),
    "interlace method": png(header(1, 1, 8, 2, [0, 0, 2]), pixels(4), end),
    "no pixel data": png(header(1, 1), end),
    "no end": png(header(1, 1), pixels(4)),
    "bytes after the end": png(header(1, 1), pixels(4), end, Uint8Array.of(0)),
    "too few pixels": png(header(1, 1), pixels(3), end),
    "too many pixels": png(header(1, 1), pixels(5), end),
    "wrong filter": png(header(1, 1), chunk("IDAT", deflateSync(Uint8Array.of(5, 0, 0, 0))), end),
    "not deflated": png(
      header(1, 1),
      chunk("IDAT", Uint8Array.of(0x78, 0x9c, 255, 255, 255, 255, 255, 255, 255)),
      end,
    ),
    "zlib header": png(header(1, 1), chunk("IDAT", new Uint8Array(20)), end),
    "no palette": png(header(1, 1, 8, 3), pixels(2), end),
    "palette of gray": png(header(1, 1, 8, 0), palette, pixels(2), end),
    "palette after pixels": png(header(1, 1), pixels(4), palette, end),
    "palette too long": png(header(1, 1, 1, 3), chunk("PLTE", new Uint8Array(9)), pixels(2), end),
    "transparency of alpha": png(header(1, 1, 8, 6), chunk("tRNS", new Uint8Array(2)), pixels(5), end),
    "transparency before palette": png(
      header(1, 1, 8, 3),
      chunk("tRNS", new Uint8Array(1)),
      palette,
      pixels(2),
      end,
    ),
    "split pixel data": png(header(1, 1), pixels(4), chunk("tEXt", new Uint8Array(3)), pixels(4), end),
    "unknown critical chunk": png(header(1, 1), chunk("ABCD", new Uint8Array(1)), pixels(4), end),
    "second header": png(header(1, 1), header(1, 1), pixels(4), end),
  };
  for (const [name, bytes] of Object.entries(cases)) assert.throws(() => decodePng(bytes), invalid, name);
  assert.doesNotThrow(() => decodePng(png(header(1, 1), chunk("abCd", new Uint8Array(1)), pixels(4), end)));
  assert.doesNotThrow(() => decodePng(png(header(1, 1, 8, 3), palette, pixels(2), end)));
});

test("notices every truncation of a file", () => {
  const whole = read("rgb8-3x5.png");
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodePng(whole.subarray(0, length)), invalid, `${length} bytes`);
  }
});

test("notices every flipped bit of a file", () => {
  const whole = read("rgb8-3x5.png");
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const damaged = whole.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(
      () => decodePng(damaged),
      (error) => isHydrogenError(error, "IMAGE_INVALID", "IMAGE_TOO_LARGE"),
      `bit ${bit}`,
    );
  }
});

test("answers damaged files with a coded error or an image, never with another exception", () => {
  const seed = 0xbad;
  const random = createRandom(seed);
  const sources = files.filter((file) => !file.includes("1024") && !file.includes("512")).map(read);
  for (let i = 0; i < 2000; i++) {
    const damaged = random.pick(sources).slice();
    for (let n = random.below(4); n >= 0; n--) damaged[random.below(damaged.length)] = random.below(256);
    fixChecksums(damaged);
    try {
      assert.equal(imagePhash(damaged).length, 8);
    } catch (error) {
      assert.ok(
        isHydrogenError(error, "IMAGE_INVALID", "IMAGE_TOO_LARGE"),
        `seed ${seed}, case ${i}: ${error}`,
      );
    }
  }
});

/** Makes the chunk checksums right again, so that damage reaches the code behind them. */
function fixChecksums(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const last = at + 8 + view.getUint32(at);
    if (last + 4 > bytes.length) return;
    view.setUint32(last, crc32(bytes.subarray(at + 4, last)));
    at = last + 4;
  }
}
