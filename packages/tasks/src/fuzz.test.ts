import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { z } from "zod";
import { parseSdTaskArgs } from "./sd-args.ts";
import { sdTaskArgs } from "./sd-schema.ts";
import { schemaPath, sdJsonSchema } from "./write-schemas.ts";

const seed = Number(process.env.FUZZ_SEED ?? 0xf00d);
const cases = Number(process.env.FUZZ_CASES ?? 6000);

/** mulberry32 */
function createRandom(start: number): (limit: number) => number {
  let state = start >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * limit);
  };
}

const full = {
  version: "2.5.0",
  base_model: { name: "stabilityai/stable-diffusion-xl-base-1.0", variant: "fp16" },
  dtype: "float16",
  unet: "",
  prompt: "a red apple",
  negative_prompt: "blurry",
  task_config: {
    image_width: 1024,
    image_height: 768,
    steps: 40,
    seed: 7,
    num_images: 2,
    safety_checker: false,
    cfg: 7.5,
  },
  lora: { model: "a", weight_file_name: "b.safetensors", weight: 70 },
  controlnet: {
    model: "c",
    variant: null,
    image_dataurl: "data:image/png;base64,AAAA",
    weight: 90,
    preprocess: { method: "canny", args: { low_threshold: 1, high_threshold: 2 } },
  },
  scheduler: {
    method: "DPMSolverMultistepScheduler",
    args: { timestep_spacing: "leading", solver_order: 2, use_karras_sigmas: true },
  },
  vae: "",
  refiner: { model: "d", variant: "fp16", denoising_cutoff: 80, steps: 20 },
  textual_inversion: "",
};

const oddValues: unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.5,
  64,
  65,
  100,
  101,
  1e21,
  -0,
  2147483648,
  "",
  "0",
  "LCMScheduler",
  "canny",
  "shuffle",
  "float32",
  "\u0000",
  "\ud83c",
  "🍎",
  "a".repeat(5000),
  [],
  [1],
  {},
  { name: "x" },
  { method: "mlsd" },
  { method: "LCMScheduler", args: {} },
  { model: "m" },
  { args: null },
];

type Container = Record<string, unknown>;

/** Every object in the document, with the document itself first. */
function containers(value: unknown): Container[] {
  if (typeof value !== "object" || value === null) return [];
  return [value as Container, ...Object.values(value).flatMap(containers)];
}

function damaged(random: (limit: number) => number): unknown {
  const document: unknown = structuredClone(full);
  for (let n = random(4); n >= 0; n--) {
    const all = containers(document);
    const container = all[random(all.length)]!;
    const keys = [...Object.keys(container), "extra", "steps", "args", "method"];
    const key = keys[random(keys.length)]!;
    if (random(4) === 0) delete container[key];
    else container[key] = structuredClone(oddValues[random(oddValues.length)]);
  }
  return document;
}

test(`answers damaged documents with args or with a coded error (seed ${seed}, ${cases} documents)`, () => {
  const random = createRandom(seed);
  const outcomes = { accepted: 0, refused: 0 };
  for (let i = 0; i < cases; i++) {
    const text = JSON.stringify(damaged(random));
    try {
      const { args, text: kept } = parseSdTaskArgs(text);
      assert.equal(kept, text);
      // What was accepted is accepted again in its completed form, unchanged.
      assert.deepEqual(parseSdTaskArgs(JSON.stringify(args)).args, args, `seed ${seed}, document ${i}`);
      outcomes.accepted++;
    } catch (error) {
      assert.ok(isHydrogenError(error, "ARGS_INVALID"), `seed ${seed}, document ${i}: ${error}`);
      assert.ok(typeof error.facts.path === "string" && error.facts.path.length > 0);
      outcomes.refused++;
    }
  }
  assert.ok(outcomes.accepted > cases / 50 && outcomes.refused > cases / 5, JSON.stringify(outcomes));
});

test(`answers damaged text with args or with a coded error (seed ${seed}, ${cases} texts)`, () => {
  const random = createRandom(seed + 1);
  const whole = new TextEncoder().encode(JSON.stringify(full));
  for (let i = 0; i < cases; i++) {
    let bytes = whole.slice();
    for (let n = random(3); n >= 0; n--) bytes[random(bytes.length)] = random(256);
    if (random(3) === 0) bytes = bytes.subarray(0, random(bytes.length));
    try {
      parseSdTaskArgs(bytes);
    } catch (error) {
      assert.ok(isHydrogenError(error, "ARGS_INVALID", "ARGS_NOT_JSON"), `seed ${seed}, text ${i}: ${error}`);
    }
  }
});

test("publishes the JSON Schema that the code has", () => {
  assert.deepEqual(JSON.parse(readFileSync(schemaPath, "utf8")), sdJsonSchema());
});

test(`judges documents as the published JSON Schema does (seed ${seed}, ${cases} documents)`, () => {
  const published = z.fromJSONSchema(JSON.parse(readFileSync(schemaPath, "utf8")));
  const random = createRandom(seed + 2);
  for (let i = 0; i < cases; i++) {
    const document = JSON.parse(JSON.stringify(damaged(random)));
    const verdict = published.safeParse(document).success;
    assert.equal(
      sdTaskArgs.safeParse(document).success,
      verdict,
      `seed ${seed}, document ${i}: ${JSON.stringify(document).slice(0, 2000)}`,
    );
  }
});
