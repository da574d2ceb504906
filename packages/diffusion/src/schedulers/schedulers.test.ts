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
    assert.deepEqual(scheduler.timesteps, timesteps);
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
});

test("refuses settings that contradict each other", () => {
  assert.throws(() => make({ algorithm_type: "dpmsolver" }), { code: "ARGS_SCHEDULER_INVALID" });
});

test("says which schedulers and settings it does not support", () => {
  const unsupported = { code: "SCHEDULER_UNSUPPORTED", failureClass: "unsupported" };
  assert.throws(() => make({}, "LCMScheduler"), unsupported);
  assert.throws(() => make({}, "toString"), unsupported);
  assert.throws(() => make({ prediction_type: "flow_prediction" }), unsupported);
  assert.throws(() => make({ use_beta_sigmas: true }), unsupported);
  assert.throws(() => make({ variance_type: "learned" }), unsupported);
  assert.throws(() => make({ prediction_type: "sample" }, "EulerAncestralDiscreteScheduler"), unsupported);
});
