import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, inflateSync } from "node:zlib";
import { encodePng } from "./png.ts";

/** A second, independent reading of the format: chunks, then rows unfiltered as the standard's section 9 says. */
function decode(png: Uint8Array): { width: number; height: number; rgb: Uint8Array } {
  const bytes = Buffer.from(png);
  assert.equal(bytes.subarray(0, 8).toString("hex"), "89504e470d0a1a0a");
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const body = bytes.subarray(at + 4, at + 8 + length);
    assert.equal(bytes.readUInt32BE(at + 8 + length), crc32(body));
    chunks.set(body.toString("latin1", 0, 4), body.subarray(4));
    at += 12 + length;
  }
  assert.deepEqual([...chunks.keys()], ["IHDR", "IDAT", "IEND"]);
  const header = chunks.get("IHDR")!;
  const width = header.readUInt32BE(0);
  const height = header.readUInt32BE(4);
  assert.deepEqual([...header.subarray(8)], [8, 2, 0, 0, 0]);
  const rows = inflateSync(chunks.get("IDAT")!);
  const stride = 3 * width;
  assert.equal(rows.length, (stride + 1) * height);
  const rgb = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)]!;
    for (let x = 0; x < stride; x++) {
      const left = x < 3 ? 0 : rgb[y * stride + x - 3]!;
      const up = y === 0 ? 0 : rgb[(y - 1) * stride + x]!;
      const corner = x < 3 || y === 0 ? 0 : rgb[(y - 1) * stride + x - 3]!;
      const estimate = left + up - corner;
      const nearest = [left, up, corner].toSorted(
        (a, b) => Math.abs(estimate - a) - Math.abs(estimate - b),
      )[0]!;
      const predicted = [0, left, up, Math.floor((left + up) / 2), nearest][filter]!;
      rgb[y * stride + x] = rows[y * (stride + 1) + 1 + x]! + predicted;
    }
  }
  return { width, height, rgb };
}

function picture(widthPx: number, heightPx: number, colour: (x: number, y: number, c: number) => number) {
  const rgb = Uint8Array.from({ length: 3 * widthPx * heightPx }, (_, i) =>
    colour(Math.floor(i / 3) % widthPx, Math.floor(i / 3 / widthPx), i % 3),
  );
  return { widthPx, heightPx, rgb };
}

const pictures = {
  "a single pixel": picture(1, 1, (_x, _y, c) => 100 * c),
  "a gradient": picture(40, 24, (x, y, c) => 3 * x + 5 * y + 50 * c),
  noise: picture(17, 33, (x, y, c) => Math.imul(x * 7919 + y * 104729 + c * 31, 2654435761) >>> 24),
  stripes: picture(64, 64, (x) => (x % 7 === 0 ? 255 : 0)),
};

for (const [name, image] of Object.entries(pictures)) {
  test(`writes ${name} so that every pixel can be read back, and the same bytes each time`, () => {
    const png = encodePng(image);
    const { width, height, rgb } = decode(png);
    assert.deepEqual([width, height], [image.widthPx, image.heightPx]);
    assert.deepEqual(rgb, image.rgb);
    assert.deepEqual(encodePng(image), png);
  });
}

test("refuses pixels that do not fill the image", () => {
  assert.throws(() => encodePng({ widthPx: 2, heightPx: 2, rgb: new Uint8Array(11) }), RangeError);
});
