import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bytesToHex, hexToBytes } from "@hydrogen/std";
import { hammingDistance, imagePhash, imagesResult, perceptionHash, similar } from "./phash.ts";
import type { PixelImage } from "./pixels.ts";
import { decodePng } from "./png.ts";
import { makeImage, type PixelCase } from "./testing/patterns.ts";

const goldens = new URL("../../../test-vectors/protocol/phash/", import.meta.url);
const readJson = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, goldens), "utf8"));

const goTypes: Record<PixelImage["kind"], string> = {
  gray8: "Gray",
  gray16: "Gray16",
  rgba8: "RGBA",
  rgba16: "RGBA64",
  nrgba8: "NRGBA",
  nrgba16: "NRGBA64",
  paletted: "Paletted",
  ycbcr: "YCbCr",
};

const pixelCases = readJson<(PixelCase & { hash: string })[]>("pixels.json");
for (const kind of new Set(pixelCases.map((one) => one.kind))) {
  test(`hashes ${kind} pixels as goimagehash does, at every size and pattern`, () => {
    const cases = pixelCases.filter((one) => one.kind === kind);
    assert.ok(cases.length > 70);
    for (const { hash, ...one } of cases) {
      assert.equal(bytesToHex(perceptionHash(makeImage(one))), hash, JSON.stringify(one));
    }
  });
}

test("hashes PNG files of every colour type, depth, filter and interlacing as goimagehash does", () => {
  const cases = readJson<{ file: string; type: string; hash: string }[]>("png.json");
  assert.ok(cases.length > 60);
  for (const { file, type, hash } of cases) {
    const png = readFileSync(new URL(`png/${file}`, goldens));
    assert.equal(goTypes[decodePng(png).kind], type, file);
    assert.equal(bytesToHex(imagePhash(png)), hash, file);
  }
});

test("hashes the planes of JPEG files as goimagehash does", () => {
  type JpegCase = {
    file: string;
    ratio: string;
    width: number;
    height: number;
    yStride: number;
    cStride: number;
  };
  const cases = readJson<(JpegCase & { y: string; cb: string; cr: string; hash: string })[]>("jpeg.json");
  assert.ok(cases.some((one) => one.ratio === "444") && cases.some((one) => one.ratio === "420"));
  for (const { hash, file, y, cb, cr, ...size } of cases) {
    const [luma, blue, red] = [y, cb, cr].map((text) => new Uint8Array(Buffer.from(text, "base64")));
    const image = { kind: "ycbcr", ...size, y: luma, cb: blue, cr: red } as PixelImage;
    assert.equal(bytesToHex(perceptionHash(image)), hash, file);
  }
});

test("joins the hashes of several images in order", () => {
  const black = readFileSync(new URL("png/black.png", goldens));
  const white = readFileSync(new URL("png/white.png", goldens));
  assert.equal(bytesToHex(imagesResult([white, black])), "0x80000000000000000000000000000000");
});

test("refuses pixel buffers that do not fit the size", () => {
  const data = new Uint8Array(11);
  assert.throws(() => perceptionHash({ kind: "gray8", width: 3, height: 4, data }), {
    code: "IMAGE_INVALID",
  });
  assert.throws(() => perceptionHash({ kind: "gray8", width: 0, height: 0, data: new Uint8Array() }), {
    code: "IMAGE_INVALID",
  });
  const paletted: PixelImage = {
    kind: "paletted",
    width: 1,
    height: 1,
    data: Uint8Array.of(1),
    palette: new Uint8Array(4),
  };
  assert.throws(() => perceptionHash(paletted), { code: "IMAGE_INVALID" });
});

test("counts differing bits", () => {
  assert.equal(hammingDistance(hexToBytes("0xff00"), hexToBytes("0x0f01")), 5);
  assert.throws(() => hammingDistance(new Uint8Array(1), new Uint8Array(2)), { code: "HASH_INPUT_INVALID" });
});

test("calls results similar only when every image is strictly below the threshold", () => {
  const zero = hexToBytes("0x0000000000000000");
  const four = hexToBytes("0x000000000000000f");
  const five = hexToBytes("0x000000000000001f");
  assert.ok(similar(zero, four));
  assert.ok(!similar(zero, five));
  assert.ok(similar(zero, five, 6));
  assert.ok(!similar(zero, zero, 0));
  const both = (a: Uint8Array, b: Uint8Array) => Uint8Array.of(...a, ...b);
  assert.ok(!similar(both(zero, zero), both(zero, five)));
  assert.ok(similar(both(zero, zero), both(four, four)));
  assert.ok(!similar(zero, both(zero, zero)));
  assert.ok(!similar(new Uint8Array(), new Uint8Array()));
  assert.ok(!similar(new Uint8Array(7), new Uint8Array(7)));
});
