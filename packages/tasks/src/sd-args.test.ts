import assert from "node:assert/strict";
import { test } from "node:test";
import { taskHash } from "@hydrogen/protocol";
import { isHydrogenError } from "@hydrogen/std";
import { maxTaskArgsBytes, parseSdTaskArgs, sdTaskArgsFor } from "./sd-args.ts";
import { parseTaskArgs } from "./task-args.ts";

const least = { base_model: "runwayml/stable-diffusion-v1-5", prompt: "a red apple", task_config: {} };
const parse = (document: object) => parseSdTaskArgs(JSON.stringify(document)).args;

function refused(document: object, path: string, reason?: RegExp): void {
  assert.throws(
    () => parse(document),
    (error) => {
      assert.ok(isHydrogenError(error, "ARGS_INVALID"), String(error));
      assert.equal(error.failureClass, "args_invalid");
      assert.equal(error.facts.path, path);
      if (reason) assert.match(String(error.facts.reason), reason);
      return true;
    },
  );
}

test("fills in the documented defaults", () => {
  assert.deepEqual(parse(least), {
    version: "2.5.0",
    base_model: { name: "runwayml/stable-diffusion-v1-5", variant: null },
    dtype: "auto",
    unet: "",
    prompt: "a red apple",
    negative_prompt: "",
    task_config: {
      image_width: 512,
      image_height: 512,
      steps: 1,
      seed: 0,
      num_images: 6,
      safety_checker: true,
      cfg: 5,
    },
    lora: null,
    controlnet: null,
    scheduler: { method: "DPMSolverMultistepScheduler", args: null },
    vae: "",
    refiner: null,
    textual_inversion: "",
  });
});

test("fills in the defaults of every optional part", () => {
  const args = parse({
    ...least,
    base_model: { name: "stabilityai/stable-diffusion-xl-base-1.0", variant: "fp16" },
    lora: { model: "a" },
    controlnet: {
      model: "b",
      image_dataurl: "data:image/png;base64,AAAA",
      preprocess: { method: "mlsd", args: {} },
    },
    refiner: { model: "c" },
    scheduler: { method: "LCMScheduler", args: { original_inference_steps: 20 } },
  });
  assert.deepEqual(args.lora, { model: "a", weight_file_name: "", weight: 100 });
  assert.deepEqual(args.refiner, { model: "c", variant: null, denoising_cutoff: 80, steps: 20 });
  assert.deepEqual(args.controlnet?.preprocess, { method: "mlsd", args: { thr_v: 10, thr_d: 10 } });
  assert.equal(args.controlnet?.weight, 70);
  assert.ok(args.scheduler.method === "LCMScheduler");
  assert.equal(args.scheduler.args?.original_inference_steps, 20);
  assert.equal(args.scheduler.args?.timestep_scaling, null);
});

test("keeps the text exactly as it was sent, for the hash", () => {
  const text = `{ "prompt": "a", "base_model":"m",\n "task_config" : {"seed": 1.0}, "unknown": [1] }`;
  const parsed = parseSdTaskArgs(text);
  assert.equal(parsed.text, text);
  assert.equal(taskHash(parsed.text), taskHash(text));
  assert.equal(parsed.args.task_config.seed, 1);
  assert.deepEqual(parseSdTaskArgs(new TextEncoder().encode(text)), parsed);
});

test("ignores keys that are not listed, at every level", () => {
  const args = parse({ ...least, extra: 1, task_config: { extra: 2 }, __proto__x: {} });
  assert.deepEqual(args, parse(least));
});

test("refuses what is not an object in well-formed JSON and UTF-8", () => {
  const wrong = ["", "x", "[]", "null", "3", '"{}"', "{", "{}x", `{"prompt":"\ud800"}`];
  for (const text of wrong) assert.throws(() => parseSdTaskArgs(text), { code: "ARGS_NOT_JSON" }, text);
  assert.throws(() => parseSdTaskArgs(Uint8Array.of(0x7b, 0xff, 0x7d)), { code: "ARGS_NOT_JSON" });
  assert.throws(() => parseSdTaskArgs(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)), {
    code: "ARGS_NOT_JSON",
  });
});

test("refuses text above the limit by its bytes, not its characters", () => {
  const text = JSON.stringify({ ...least, prompt: "€".repeat(maxTaskArgsBytes / 3) });
  assert.ok(text.length < maxTaskArgsBytes);
  assert.throws(() => parseSdTaskArgs(text), { code: "ARGS_TOO_LARGE", failureClass: "args_invalid" });
});

test("keeps every number within its range", () => {
  const cases: [string, unknown[], unknown[]][] = [
    ["steps", [1, 100, 3.0], [0, 101, 1.5, "20", true, null]],
    ["seed", [0, 2147483647], [-1, 2147483648, 0.5]],
    ["num_images", [1, 10], [0, 11]],
    ["cfg", [0, 20, 7.5], [-0.1, 20.1, "7"]],
    ["image_width", [8, 64, 4096], [0, -8, 7, 65, 4104]],
    ["image_height", [8, 512, 4096], [0, 1, 511, 4104]],
    ["safety_checker", [true, false], [0, "no"]],
  ];
  for (const [field, good, bad] of cases) {
    for (const value of good) assert.doesNotThrow(() => parse({ ...least, task_config: { [field]: value } }));
    for (const value of bad) refused({ ...least, task_config: { [field]: value } }, `task_config.${field}`);
  }
});

test("takes percentages as whole numbers from 1 to 100", () => {
  for (const weight of [1, 29, 100]) {
    assert.equal(parse({ ...least, lora: { model: "a", weight } }).lora?.weight, weight);
  }
  for (const weight of [0, -1, 101, 0.5, "80"])
    refused({ ...least, lora: { model: "a", weight } }, "lora.weight");
});

test("names the place of the fault", () => {
  refused({ prompt: "a", task_config: {} }, "base_model");
  refused({ ...least, base_model: "" }, "base_model.name");
  refused({ ...least, base_model: { variant: "fp16" } }, "base_model.name");
  refused({ ...least, base_model: 5 }, "base_model");
  refused({ ...least, prompt: "" }, "prompt");
  refused({ ...least, negative_prompt: null }, "negative_prompt");
  refused({ ...least, task_config: null }, "task_config");
  refused({ ...least, version: "9.0.0" }, "version");
  refused({ ...least, dtype: "int8" }, "dtype");
  refused({ ...least, scheduler: null }, "scheduler");
  refused({ ...least, scheduler: {} }, "scheduler.method");
  refused({ ...least, scheduler: { method: "DDIMScheduler" } }, "scheduler.method");
  const args = { timestep_spacing: "sideways" };
  refused({ ...least, scheduler: { method: "LCMScheduler", args } }, "scheduler.args.timestep_spacing");
  refused({ ...least, refiner: {} }, "refiner.model");
});

test("accepts the 24 preprocessors of the schema and no other", () => {
  const methods =
    "canny scribble_hed scribble_hedsafe softedge_hedsafe depth_midas normal_bae mlsd openpose openpose_face openpose_faceonly openpose_full openpose_hand scribble_pidinet softedge_pidinet scribble_pidisafe softedge_pidisafe lineart_coarse lineart_realistic lineart_anime depth_zoe depth_leres depth_leres++ shuffle mediapipe_face".split(
      " ",
    );
  assert.equal(methods.length, 24);
  const controlnet = { model: "a", image_dataurl: "AAAA" };
  for (const method of methods) {
    assert.doesNotThrow(() => parse({ ...least, controlnet: { ...controlnet, preprocess: { method } } }));
  }
  for (const method of ["dwpose", "softedge_hed", ""]) {
    refused(
      { ...least, controlnet: { ...controlnet, preprocess: { method } } },
      "controlnet.preprocess.method",
    );
  }
});

test("wants an image for a ControlNet", () => {
  for (const image_dataurl of [
    undefined,
    "",
    "data:image/png;base64,",
    "data:image/png;base64,A",
    "http://x/a.png",
  ]) {
    refused({ ...least, controlnet: { model: "a", image_dataurl } }, "controlnet.image_dataurl");
  }
  for (const image_dataurl of ["AAAA", "data:image/jpeg;base64,AA==", "data:image/svg+xml;base64,AAA="]) {
    assert.doesNotThrow(() => parse({ ...least, controlnet: { model: "a", image_dataurl } }));
  }
});

test("wants an SDXL base for a refiner, where the base's name tells what it is", () => {
  const refiner = { model: "stabilityai/stable-diffusion-xl-refiner-1.0" };
  for (const base_model of [
    "runwayml/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2-1",
    "hydrogen-network/emoji-64",
  ]) {
    refused({ ...least, base_model, refiner }, "refiner", /SDXL/);
  }
  for (const base_model of [
    "stabilityai/stable-diffusion-xl-base-1.0",
    "crynux-network/sdxl-turbo",
    "someone/finetune",
  ]) {
    assert.doesNotThrow(() => parse({ ...least, base_model, refiner }));
  }
});

test("keeps LCM's steps within its original steps, 50 unless said otherwise", () => {
  const lcm = (steps: number, args?: object) => ({
    ...least,
    task_config: { steps },
    scheduler: { method: "LCMScheduler", args },
  });
  assert.doesNotThrow(() => parse(lcm(50)));
  refused(lcm(51), "task_config.steps");
  refused(lcm(21, { original_inference_steps: 20 }), "task_config.steps");
  assert.doesNotThrow(() => parse(lcm(80, { original_inference_steps: 100 })));
});

test("wants canny's thresholds in order", () => {
  const canny = (args: object) => ({
    ...least,
    controlnet: { model: "a", image_dataurl: "AAAA", preprocess: { method: "canny", args } },
  });
  refused(canny({ low_threshold: 201 }), "controlnet.preprocess.args.low_threshold");
  assert.doesNotThrow(() => parse(canny({ low_threshold: 200 })));
});

const wishes = {
  model: "hydrogen-network/emoji-64",
  prompt: "a red apple",
  seed: 7,
  widthPx: 64,
  heightPx: 64,
  steps: 24,
  cfg: 4,
  scheduler: "EulerAncestralDiscreteScheduler",
};

test("writes the same text for the same wishes", () => {
  const { text, args } = sdTaskArgsFor(wishes);
  assert.equal(
    text,
    '{"base_model":"hydrogen-network/emoji-64","negative_prompt":"","prompt":"a red apple","scheduler":{"method":"EulerAncestralDiscreteScheduler"},"task_config":{"cfg":4,"image_height":64,"image_width":64,"num_images":1,"safety_checker":true,"seed":7,"steps":24},"version":"2.5.0"}',
  );
  const reversed = Object.fromEntries(Object.entries(wishes).toReversed()) as typeof wishes;
  assert.equal(sdTaskArgsFor(reversed).text, text);
  assert.deepEqual(parseSdTaskArgs(text).args, args);
  assert.equal(args.task_config.image_width, 64);
});

test("refuses wishes that make no valid document", () => {
  for (const wrong of [
    { prompt: "" },
    { prompt: "\ud800" },
    { seed: -1 },
    { seed: Number.NaN },
    { widthPx: 63 },
    { scheduler: "Nonsense" },
    { numImages: 11 },
  ]) {
    assert.throws(
      () => sdTaskArgsFor({ ...wishes, ...wrong }),
      { code: "ARGS_INVALID" },
      JSON.stringify(wrong),
    );
  }
});

test("has no engine for GPT tasks yet and says so", () => {
  const text = JSON.stringify(least);
  assert.deepEqual(parseTaskArgs(text, 0), parseSdTaskArgs(text));
  assert.throws(() => parseTaskArgs(text, 1), { code: "TASK_UNSUPPORTED", failureClass: "unsupported" });
});
