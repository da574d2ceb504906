import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { modelFamily } from "./model-family.ts";
import { parseSdTaskArgs } from "./sd-args.ts";
import { estimateVramGb, vramClassesGb, vramLimitGb } from "./vram.ts";

const args = (base_model: unknown, task_config: object = {}, extra: object = {}) =>
  parseSdTaskArgs(JSON.stringify({ base_model, prompt: "a", task_config, ...extra })).args;
const sdxl = "stabilityai/stable-diffusion-xl-base-1.0";
const square = (sidePx: number) => ({ image_width: sidePx, image_height: sidePx });

test("knows the contracts' VRAM classes", () => {
  const source = readFileSync(
    new URL("../../../contracts/src/libraries/VramClasses.sol", import.meta.url),
    "utf8",
  );
  const packed = (name: string) => {
    const digits = new RegExp(`${name}\\s*=\\s*0x([0-9a-f]+)`).exec(source)![1]!;
    const words = digits.padStart(Math.ceil(digits.length / 4) * 4, "0").match(/.{4}/g)!;
    return words.toReversed().map((word) => Number.parseInt(word, 16));
  };
  assert.deepEqual([...packed("SIZES"), ...packed("SIZES_HIGH")], [...vramClassesGb]);
});

test("tells the architecture from well-known names only", () => {
  assert.equal(modelFamily("runwayml/stable-diffusion-v1-5"), "sd1");
  assert.equal(modelFamily("CompVis/stable-diffusion-v1-4"), "sd1");
  assert.equal(modelFamily("stabilityai/stable-diffusion-2-1-base"), "sd2");
  assert.equal(modelFamily(sdxl), "sdxl");
  assert.equal(modelFamily("crynux-network/sdxl-turbo"), "sdxl");
  assert.equal(modelFamily("someone/juggernaut-xl-v9"), "sdxl");
  assert.equal(modelFamily("hydrogen-network/emoji-64"), "hydrogen");
  assert.equal(modelFamily("emilianJR/chilloutmix_NiPrunedFp32Fix"), undefined);
});

test("puts the shipped model in the smallest class and large ones in larger classes", () => {
  assert.equal(vramLimitGb(args("hydrogen-network/emoji-64", square(64))), 4);
  assert.equal(vramLimitGb(args("runwayml/stable-diffusion-v1-5")), 8);
  assert.equal(vramLimitGb(args("runwayml/stable-diffusion-v1-5", {}, { dtype: "float16" })), 4);
  assert.equal(vramLimitGb(args({ name: sdxl, variant: "fp16" }, square(1024))), 11);
  assert.equal(vramLimitGb(args(sdxl, square(1024))), 24);
});

test("asks for more when anything is added, and for nothing when nothing is", () => {
  const plain = estimateVramGb(args(sdxl));
  assert.ok(estimateVramGb(args(sdxl, square(1024))) > plain);
  assert.ok(estimateVramGb(args(sdxl, {}, { refiner: { model: "r" } })) > plain);
  assert.ok(estimateVramGb(args(sdxl, {}, { controlnet: { model: "c", image_dataurl: "AAAA" } })) > plain);
  assert.ok(estimateVramGb(args(sdxl, {}, { dtype: "bfloat16" })) < plain);
  assert.equal(estimateVramGb(args(sdxl, { steps: 50, num_images: 10, seed: 9 })), plain);
});

test("refuses what no class holds", () => {
  assert.throws(() => vramLimitGb(args(sdxl, square(1024)), [8, 4]), {
    code: "VRAM_EXCEEDED",
    failureClass: "unsupported",
  });
  assert.equal(vramLimitGb(args("a", square(64)), [24, 8]), 8);
});
