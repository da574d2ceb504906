import assert from "node:assert/strict";
import { test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { selectLoose, selectPipeline } from "./select.ts";

const index = {
  _class_name: "StableDiffusionPipeline",
  _diffusers_version: "0.6.0",
  feature_extractor: ["transformers", "CLIPFeatureExtractor"],
  requires_safety_checker: true,
  safety_checker: ["stable_diffusion", "StableDiffusionSafetyChecker"],
  scheduler: ["diffusers", "PNDMScheduler"],
  text_encoder: ["transformers", "CLIPTextModel"],
  image_encoder: [null, null],
  tokenizer: ["transformers", "CLIPTokenizer"],
  unet: ["diffusers", "UNet2DConditionModel"],
  vae: ["diffusers", "AutoencoderKL"],
};

const settings = [
  "feature_extractor/preprocessor_config.json",
  "model_index.json",
  "safety_checker/config.json",
  "scheduler/scheduler_config.json",
  "text_encoder/config.json",
  "tokenizer/merges.txt",
  "tokenizer/special_tokens_map.json",
  "tokenizer/tokenizer_config.json",
  "tokenizer/vocab.json",
  "unet/config.json",
  "vae/config.json",
];
const weightsOf = (suffix: string) => [
  `safety_checker/model${suffix}`,
  `text_encoder/model${suffix}`,
  `unet/diffusion_pytorch_model${suffix}`,
  `vae/diffusion_pytorch_model${suffix}`,
];
/** Laid out as the Stable Diffusion 1.5 repository is. */
const repository = [
  ...settings,
  ...[".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin", ".non_ema.safetensors"].flatMap(weightsOf),
  ".gitattributes",
  "README.md",
  "v1-5-pruned.ckpt",
  "v1-5-pruned.safetensors",
  "v1-5-pruned-emaonly.safetensors",
  "unet/flax_model.msgpack",
  "../../etc/passwd",
  "unet/../../x.safetensors",
];

const select = (paths: string[], variant: string | null = null, modelIndex: object = index) =>
  selectPipeline(paths, modelIndex as Record<string, unknown>, variant);

test("takes each component once, in the precision asked for", () => {
  assert.deepEqual(select(repository).paths, [...settings, ...weightsOf(".safetensors")].sort());
  const half = select(repository, "fp16");
  assert.deepEqual(half.paths, [...settings, ...weightsOf(".fp16.safetensors")].sort());
  assert.ok(half.hasVariant);
});

test("takes plain weights for components that lack the variant, and for a variant that nothing has", () => {
  const partly = repository.filter((path) => path !== "vae/diffusion_pytorch_model.fp16.safetensors");
  const { paths, hasVariant } = select(partly, "fp16");
  assert.ok(hasVariant);
  assert.ok(paths.includes("vae/diffusion_pytorch_model.safetensors"));
  assert.ok(paths.includes("unet/diffusion_pytorch_model.fp16.safetensors"));
  assert.deepEqual(select(repository, "bf16").paths, select(repository).paths);
  assert.ok(!select(repository, "bf16").hasVariant);
});

test("takes fp16 where only that was published as safetensors", () => {
  const only = [...settings, ...weightsOf(".fp16.safetensors"), ...weightsOf(".bin")];
  assert.deepEqual(select(only).paths, [...settings, ...weightsOf(".fp16.safetensors")].sort());
});

test("takes all shards with their index, in both orders of naming", () => {
  const rest = repository.filter((path) => !path.startsWith("unet/"));
  for (const [variant, shards] of [
    [null, ["index.json", "-00001-of-00002", "-00002-of-00002"]],
    ["fp16", ["index.fp16.json", "-00001-of-00002.fp16", "-00002-of-00002.fp16"]],
    ["fp16", ["index.fp16.json", ".fp16-00001-of-00002", ".fp16-00002-of-00002"]],
  ] as const) {
    const [indexName, ...parts] = shards;
    const unet = [
      "unet/config.json",
      `unet/diffusion_pytorch_model.safetensors.${indexName}`,
      ...parts.map((part) => `unet/diffusion_pytorch_model${part}.safetensors`),
    ];
    const { paths } = select([...rest, ...unet], variant);
    assert.deepEqual(
      paths.filter((path) => path.startsWith("unet/")),
      unet.sort(),
    );
    for (const missing of unet)
      assert.throws(
        () => select([...rest, ...unet.filter((path) => path !== missing)], variant),
        (error) => isHydrogenError(error, "MODEL_INCOMPLETE") && error.failureClass === "model_invalid",
        missing,
      );
  }
});

test("does without an optional component that has no safetensors, not without an essential one", () => {
  const picklesOf = (component: string) =>
    repository.filter((path) => !(path.startsWith(`${component}/`) && path.endsWith(".safetensors")));
  assert.ok(!select(picklesOf("safety_checker")).paths.some((path) => path.startsWith("safety_checker/")));
  assert.throws(
    () => select(picklesOf("unet")),
    (error) => isHydrogenError(error, "MODEL_NO_SAFETENSORS") && error.failureClass === "model_invalid",
  );
  for (const component of ["unet", "tokenizer", "scheduler"])
    assert.throws(
      () => select(repository.filter((path) => !path.startsWith(`${component}/`))),
      { code: "MODEL_INCOMPLETE" },
      component,
    );
});

test("an index that names other folders gets nothing from outside", () => {
  for (const component of ["..", "../..", "unet/..", "/etc", "C:"]) {
    const hostile = { ...index, [component]: ["diffusers", "UNet2DConditionModel"] };
    assert.ok(select(repository, null, hostile).paths.every((path) => !path.includes("..")));
  }
  assert.throws(() => select(repository, null, {}), { code: "MODEL_INCOMPLETE" });
  assert.throws(() => select(repository, null, { unet: "x", vae: [1, 2] }), { code: "MODEL_INCOMPLETE" });
});

test("of a repository without an index: a network with its configuration, else the only safetensors file", () => {
  const vae = [
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "README.md",
  ];
  assert.deepEqual(selectLoose(vae, null).paths, vae.slice(0, 2));
  const half = [...vae, "diffusion_pytorch_model.fp16.safetensors"];
  assert.deepEqual(selectLoose(half, "fp16").paths, [
    "config.json",
    "diffusion_pytorch_model.fp16.safetensors",
  ]);
  const lora = [
    "README.md",
    "style.safetensors",
    "optimizer.safetensors",
    "checkpoint-500/model.safetensors",
  ];
  assert.deepEqual(selectLoose(lora, null).paths, ["style.safetensors"]);
  const named = ["a.safetensors", "pytorch_lora_weights.safetensors"];
  assert.deepEqual(selectLoose(named, null).paths, ["pytorch_lora_weights.safetensors"]);
  assert.throws(() => selectLoose(["a.safetensors", "b.safetensors"], null), { code: "MODEL_AMBIGUOUS" });
  assert.throws(() => selectLoose(["learned_embeds.bin"], null), { code: "MODEL_NO_SAFETENSORS" });
  assert.throws(() => selectLoose(["README.md"], null), { code: "MODEL_INCOMPLETE" });
});
