/**
 * The args of a Stable Diffusion task. Field names and defaults are those of the network's existing documents
 * (stable-diffusion-task 2.5.0); ranges are theirs or narrower, where theirs let through what no engine can run.
 * Keys that are not listed are ignored.
 */
import { z } from "zod";
import { nonEmpty, percent, setting, textOrNone } from "./fields.ts";
import { preprocess } from "./preprocess.ts";
import { scheduler } from "./schedulers.ts";

/** Pixels of a latent: both sides of an image are multiples of this. */
export const latentScalePx = 8;
export const maxImageSidePx = 4096;

const imageSide = z.int().min(latentScalePx).max(maxImageSidePx).multipleOf(latentScalePx).default(512);

const baseModelObject = z.object({ name: nonEmpty, variant: setting(z.string()) });

const baseModel = z.preprocess(
  (value) => (typeof value === "string" ? { name: value } : value),
  baseModelObject,
);

const taskConfig = z.object({
  image_width: imageSide.describe("Pixels; a multiple of 8"),
  image_height: imageSide.describe("Pixels; a multiple of 8"),
  steps: z.int().min(1).max(100).default(1),
  seed: z.int().min(0).max(2_147_483_647).default(0),
  num_images: z.int().min(1).max(10).default(6),
  safety_checker: z.boolean().default(true).describe("Used where the model ships one"),
  cfg: z.number().min(0).max(20).default(5).describe("Strength of classifier-free guidance"),
});

const lora = z.object({
  model: nonEmpty,
  weight_file_name: textOrNone,
  weight: percent.default(100).describe("Percent"),
});

const controlnet = z.object({
  model: nonEmpty,
  variant: setting(z.string()),
  image_dataurl: textOrNone.describe("The image, Base64, with or without data:image/…;base64, in front"),
  weight: percent.default(70).describe("Percent"),
  preprocess: setting(preprocess),
});

const refiner = z.object({
  model: nonEmpty,
  variant: setting(z.string()),
  denoising_cutoff: percent.default(80).describe("Percent of the steps that the base model does"),
  steps: z.int().min(1).max(100).default(20),
});

export const sdTaskArgs = z.object({
  version: z.enum(["1.0.0", "2.0.0", "2.1.0", "2.5.0", "2.5.2", "3.0.0"]).default("2.5.0"),
  base_model: baseModel.describe("A model's name, or name and variant"),
  dtype: z.enum(["float16", "bfloat16", "float32", "auto"]).default("auto"),
  unet: textOrNone.describe("A UNet that replaces the base model's"),
  prompt: nonEmpty,
  negative_prompt: textOrNone,
  task_config: taskConfig,
  lora: setting(lora),
  controlnet: setting(controlnet),
  scheduler: scheduler.default({ method: "DPMSolverMultistepScheduler", args: null }),
  vae: textOrNone.describe("A VAE that replaces the base model's"),
  refiner: setting(refiner),
  textual_inversion: textOrNone,
});

/** What a document says once its defaults are filled in. Percentages stay whole numbers. */
export type SdTaskArgs = z.output<typeof sdTaskArgs>;

/** What a document may say: everything with a default may be left out. */
export type SdTaskArgsInput = Omit<z.input<typeof sdTaskArgs>, "base_model"> & {
  base_model: string | z.input<typeof baseModelObject>;
};
