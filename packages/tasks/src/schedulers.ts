/** The schedulers a task may choose, with the options that override the base model's own scheduler configuration. */
import { z } from "zod";
import { setting } from "./fields.ts";

const int = z.int();
const float = z.number();
const bool = z.boolean();

const betaSchedule = z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]);
const timestepSpacing = z.enum(["linspace", "leading", "trailing"]);

const common = {
  num_train_timesteps: setting(int.min(1).max(10_000)),
  beta_start: setting(float),
  beta_end: setting(float),
  beta_schedule: setting(betaSchedule),
  prediction_type: setting(z.enum(["epsilon", "sample", "v_prediction"])),
  timestep_spacing: setting(timestepSpacing),
  steps_offset: setting(int),
  rescale_betas_zero_snr: setting(bool),
};

const thresholds = {
  thresholding: setting(bool),
  dynamic_thresholding_ratio: setting(float),
  sample_max_value: setting(float),
};

const dpm = {
  ...common,
  prediction_type: setting(z.enum(["epsilon", "sample", "v_prediction", "flow_prediction"])),
  ...thresholds,
  solver_order: setting(int.min(1).max(3)),
  algorithm_type: setting(z.enum(["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"])),
  solver_type: setting(z.enum(["midpoint", "heun"])),
  lower_order_final: setting(bool),
  euler_at_final: setting(bool),
  use_karras_sigmas: setting(bool),
  use_lu_lambdas: setting(bool),
  final_sigmas_type: setting(z.enum(["zero", "sigma_min"])),
  lambda_min_clipped: setting(float),
  variance_type: setting(z.enum(["learned", "learned_range"])),
};

const lcm = {
  ...common,
  ...thresholds,
  original_inference_steps: setting(int.min(1)),
  // The documents' spelling; diffusers says clip_sample and clip_sample_range, so these two have no effect there.
  clip_samples: setting(int),
  clip_samples_range: setting(float),
  set_alpha_to_one: setting(bool),
  timestep_scaling: setting(float),
};

export const scheduler = z.discriminatedUnion("method", [
  z.object({ method: z.literal("EulerAncestralDiscreteScheduler"), args: setting(z.object(common)) }),
  z.object({ method: z.literal("DPMSolverMultistepScheduler"), args: setting(z.object(dpm)) }),
  z.object({ method: z.literal("LCMScheduler"), args: setting(z.object(lcm)) }),
]);

export type SdScheduler = z.output<typeof scheduler>;
export type SdSchedulerInput = z.input<typeof scheduler>;
export type SdSchedulerMethod = SdScheduler["method"];

/** LCM's `original_inference_steps` where neither task nor model says otherwise. */
export const lcmOriginalSteps = 50;
