import assert from "node:assert/strict";
import { test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { assertSupported, basicSdCapabilities, type SdCapabilities } from "./capabilities.ts";
import { parseSdTaskArgs } from "./sd-args.ts";

const least = { base_model: "someone/sdxl", prompt: "a red apple", task_config: {} };
const check = (extra: object, capabilities?: SdCapabilities) =>
  assertSupported(parseSdTaskArgs(JSON.stringify({ ...least, ...extra })).args, capabilities);

const parts = {
  lora: { model: "a" },
  controlnet: { model: "a", image_dataurl: "AAAA" },
  refiner: { model: "a" },
  vae: "a",
  textual_inversion: "a",
  unet: "a",
};

function refused(extra: object, path: string, supported: string, capabilities?: SdCapabilities): void {
  assert.throws(
    () => check(extra, capabilities),
    (error) => {
      assert.ok(isHydrogenError(error, "TASK_UNSUPPORTED"), String(error));
      assert.equal(error.failureClass, "unsupported");
      assert.equal(error.facts.path, path);
      assert.equal(error.facts.supported, supported);
      return true;
    },
  );
}

test("lets plain text-to-image through", () => {
  assert.doesNotThrow(() => check({}));
  assert.doesNotThrow(() =>
    check({ dtype: "float32", scheduler: { method: "EulerAncestralDiscreteScheduler" } }),
  );
  assert.doesNotThrow(() => check({ lora: null, controlnet: null, refiner: null }));
});

test("refuses every part that the engine does not have, and only that", () => {
  const all = Object.keys(parts) as (keyof typeof parts)[];
  for (const part of all) {
    refused({ [part]: parts[part] }, part, "none");
    const others = all.filter((one) => one !== part);
    refused(parts, part, others.join(", "), { ...basicSdCapabilities, features: others });
  }
  assert.doesNotThrow(() => check(parts, { ...basicSdCapabilities, features: all }));
});

test("lists the schedulers and number formats there are", () => {
  for (const method of Object.keys(basicSdCapabilities.schedulers)) {
    assert.doesNotThrow(() => check({ scheduler: { method } }));
  }
  const { LCMScheduler: _, ...schedulers } = basicSdCapabilities.schedulers;
  refused(
    { scheduler: { method: "LCMScheduler" } },
    "scheduler.method",
    "EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler",
    { ...basicSdCapabilities, schedulers },
  );
  refused({ dtype: "float16" }, "dtype", "auto, float32");
});

test("refuses scheduler options that the engine does not understand, unless they are null", () => {
  const capabilities: SdCapabilities = {
    ...basicSdCapabilities,
    schedulers: { DPMSolverMultistepScheduler: ["timestep_spacing"] },
  };
  const dpm = (args: object) => ({ scheduler: { method: "DPMSolverMultistepScheduler", args } });
  assert.doesNotThrow(() =>
    check(dpm({ timestep_spacing: "leading", use_karras_sigmas: null }), capabilities),
  );
  refused(
    dpm({ use_karras_sigmas: false }),
    "scheduler.args.use_karras_sigmas",
    "timestep_spacing",
    capabilities,
  );
});
