import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommonFacts, largestDifference, readGoldens } from "../../goldens/read.ts";
import { createNoiseStream } from "../noise.ts";
import { createScheduler, schedulerFields } from "./index.ts";

const { facts, tensor } = await readGoldens<CommonFacts>("common");
const start = tensor("scheduler.start").floats;
const pattern = tensor("scheduler.pattern").floats;

for (const [index, { method, steps, config, seed, timesteps }] of facts.schedulers.entries()) {
  const settings = JSON.stringify(config).slice(0, 160);
  test(`${method}, ${steps} steps, ${settings}: follows diffusers`, () => {
    const noise = createNoiseStream(seed);
    const scheduler = createScheduler(method, { fields: schedulerFields({}, config), steps, noise });
    assert.equal(scheduler.timesteps.length, timesteps.length);
    for (const [i, expected] of timesteps.entries()) {
      // Timesteps that belong to a noise level come out of logarithms; all others are exact.
      const tolerance = Number.isInteger(expected) ? 0 : 1e-6 * Math.max(1, Math.abs(expected));
      const actual = scheduler.timesteps[i]!;
      assert.ok(Math.abs(actual - expected) <= tolerance, `timestep ${actual} for ${expected}`);
    }
    let latents: Float32Array = start.map((value) => value * scheduler.initialScale);
    const trace = timesteps.flatMap((_, step) => {
      const output = latents.map((value, i) => value * scheduler.inputScale(step) * 0.5 + pattern[i]! * 0.2);
      latents = scheduler.advance(output, latents, step);
      return [...latents];
    });
    const expected = tensor(`scheduler.${index}`).floats;
    const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    const difference = largestDifference(trace, expected);
    assert.ok(difference / scale < 1e-4, `differs by ${difference} of ${scale}`);
  });
}

const make = (args: Record<string, unknown>, method = "DPMSolverMultistepScheduler", model = {}) =>
  createScheduler(method, { fields: schedulerFields(model, args), steps: 5, noise: createNoiseStream(0) });

test("settings of the request override the model's, null ones do not", () => {
  const model = { num_train_timesteps: 500, timestep_spacing: "trailing" };
  assert.equal(make({}, undefined, model).timesteps[0], 499);
  assert.equal(make({ num_train_timesteps: null }, undefined, model).timesteps[0], 499);
  assert.equal(make({ num_train_timesteps: 200 }, undefined, model).timesteps[0], 199);
});

test("refuses settings that do not exist", () => {
  const refused = { code: "ARGS_SCHEDULER_INVALID", failureClass: "args_invalid" };
  assert.throws(() => make({ timestep_spacing: "sideways" }), refused);
  assert.throws(() => make({ final_sigmas_type: "one" }), refused);
  assert.throws(() => make({ solver_order: 4 }), refused);
  assert.throws(() => make({ solver_order: 1.5 }), refused);
  assert.throws(() => make({ beta_start: 2 }), refused);
  assert.throws(() => make({ beta_end: "0.1" }), refused);
  assert.throws(() => make({ num_train_timesteps: 1e9 }), refused);
  assert.throws(() => make({ use_karras_sigmas: "yes" }), refused);
  assert.throws(() => make({ trained_betas: [3] }), refused);
  assert.throws(() => make({ lambda_min_clipped: "low" }), refused);
  assert.throws(() => make({ sigma_min: -1, use_karras_sigmas: true }, "EulerDiscreteScheduler"), refused);
  assert.throws(() => make({ sigma_max: 0.001, use_karras_sigmas: true }, "EulerDiscreteScheduler"), refused);
  assert.throws(() => make({ original_inference_steps: 4 }, "LCMScheduler"), refused);
  assert.throws(() => make({ original_inference_steps: 1001 }, "LCMScheduler"), refused);
  assert.throws(() => make({ disable_corrector: 1 }, "UniPCMultistepScheduler"), refused);
  assert.throws(() => make({ num_train_timesteps: 5, steps_offset: 1 }, "DDIMScheduler"), refused);
});

test("refuses settings that contradict each other", () => {
  const refused = { code: "ARGS_SCHEDULER_INVALID" };
  assert.throws(() => make({ algorithm_type: "dpmsolver" }), refused);
  assert.throws(() => make({ use_karras_sigmas: true, use_exponential_sigmas: true }), refused);
  assert.throws(() => make({ predict_x0: false }, "UniPCMultistepScheduler"), refused);
  assert.throws(() => make({ lower_order_final: false }, "UniPCMultistepScheduler"), refused);
  const allNoise = { rescale_betas_zero_snr: true, timestep_spacing: "trailing" };
  for (const method of ["DDIMScheduler", "LCMScheduler"])
    assert.throws(() => make(allNoise, method), refused);
});

test("refuses a PNDM run too short for its Runge–Kutta beginning", () => {
  const short = { fields: schedulerFields({}, {}), noise: createNoiseStream(0), steps: 3 };
  assert.throws(() => createScheduler("PNDMScheduler", short), { code: "ARGS_SCHEDULER_INVALID" });
});

test("takes clipping in a model's own settings for a mistake, but not in a request's", () => {
  const firstStep = (model: object, args: object) => {
    const scheduler = make({ ...args }, "DDIMScheduler", { ...model });
    return [...scheduler.advance(pattern, start, 0)];
  };
  const free = firstStep({ clip_sample: false }, {});
  assert.deepEqual(firstStep({ clip_sample: true }, {}), free);
  assert.notDeepEqual(firstStep({ clip_sample: false }, { clip_sample: true }), free);
});

test("never visits a timestep below zero, as rounding would have it", () => {
  for (const method of ["DDIMScheduler", "PNDMScheduler"]) {
    const fields = schedulerFields({}, { timestep_spacing: "trailing", skip_prk_steps: true });
    const { timesteps } = createScheduler(method, { fields, steps: 61, noise: createNoiseStream(0) });
    assert.ok(timesteps.every((t) => t >= 0));
  }
});

test("UniPC's first variant reaches zero noise, where the reference multiplies infinity by nothing", () => {
  const scheduler = make({ solver_type: "bh1" }, "UniPCMultistepScheduler");
  let latents = start;
  for (const step of scheduler.timesteps.keys()) latents = scheduler.advance(pattern, latents, step);
  assert.ok(latents.every(Number.isFinite));
});

test("says which schedulers and settings it does not support", () => {
  const unsupported = { code: "SCHEDULER_UNSUPPORTED", failureClass: "unsupported" };
  assert.throws(() => make({}, "LMSDiscreteScheduler"), unsupported);
  assert.throws(() => make({}, "toString"), unsupported);
  assert.throws(() => make({ prediction_type: "flow_prediction" }), unsupported);
  assert.throws(() => make({ use_beta_sigmas: true }), unsupported);
  assert.throws(() => make({ variance_type: "learned" }), unsupported);
  assert.throws(() => make({ prediction_type: "sample" }, "PNDMScheduler"), unsupported);
  assert.throws(() => make({ solver_order: 4 }, "UniPCMultistepScheduler"), unsupported);
  assert.throws(() => make({ use_flow_sigmas: true }, "UniPCMultistepScheduler"), unsupported);
  assert.throws(() => make({ prediction_type: "sample" }, "EulerAncestralDiscreteScheduler"), unsupported);
});
