/**
 * Compares the engine with what diffusers computed (test-vectors/diffusion) and writes docs/diffusion-parity.md.
 *
 *     node packages/diffusion/scripts/parity.ts
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CheckpointFacts,
  type CommonFacts,
  checkpoints,
  type GoldenRun,
  type GoldenTensor,
  goldensDir,
  largestDifference,
  type PromptFacts,
  readGoldens,
} from "../goldens/read.ts";
import { differenceOf, titleOf } from "../goldens/runs.ts";
import { type SingleFileFacts, singleFiles, writeSingleFile } from "../goldens/single-file.ts";
import { buildClipText, clipTextInputs } from "../src/graphs/clip-text.ts";
import { buildUNet, timeFeatures, UNET_INPUTS } from "../src/graphs/unet.ts";
import { buildVaeDecoder } from "../src/graphs/vae.ts";
import { type DiffusionPipeline, enginePlatform, loadPipeline } from "../src/index.ts";
import { readModelFolder } from "../src/model/folder.ts";
import { readModel } from "../src/model/read.ts";
import { createNoiseStream } from "../src/noise.ts";
import { encodePrompts, type TextEncoder } from "../src/prompt/encode.ts";
import { readPrompt } from "../src/prompt/read.ts";
import { readTextualInversions } from "../src/prompt/textual-inversion.ts";
import { type Input, openNetwork } from "../src/runtime/network.ts";
import { createScheduler, schedulerFields } from "../src/schedulers/index.ts";

type Row = { stage: string; subject: string; difference: string; limit: string };
const rows: Row[] = [];
const number = (value: number) => (value === 0 ? "0" : value.toExponential(1));

async function run(
  model: Uint8Array,
  directory: string,
  inputs: Record<string, Input>,
): Promise<Float32Array> {
  const network = await openNetwork(model, directory, { provider: "cpu", threads: 1 });
  const output = await network.run(inputs);
  await network.release();
  return output;
}

const common = await readGoldens<CommonFacts>("common");
const { sizes, seeds } = common.facts.noise;
const noiseDifference = Math.max(
  ...seeds.map((seed) => {
    const stream = createNoiseStream(seed);
    const drawn = sizes.flatMap((size) => [...stream.normal(size)]);
    return largestDifference(drawn, common.tensor(`noise.${seed}`).floats);
  }),
);
rows.push({
  stage: "noise stream",
  subject: `${seeds.length} seeds, tensors of ${Math.min(...sizes)} to ${Math.max(...sizes)} numbers`,
  difference: number(noiseDifference),
  limit: "0",
});

const byMethod = new Map<string, { count: number; worst: number }>();
for (const [index, { method, steps, config, seed, timesteps }] of common.facts.schedulers.entries()) {
  const noise = createNoiseStream(seed);
  const scheduler = createScheduler(method, { fields: schedulerFields({}, config), steps, noise });
  const start = common.tensor("scheduler.start").floats;
  const pattern = common.tensor("scheduler.pattern").floats;
  let latents: Float32Array = start.map((value) => value * scheduler.initialScale);
  const trace = timesteps.flatMap((_, step) => {
    const output = latents.map((value, i) => value * scheduler.inputScale(step) * 0.5 + pattern[i]! * 0.2);
    latents = scheduler.advance(output, latents, step);
    return [...latents];
  });
  const expected = common.tensor(`scheduler.${index}`).floats;
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
  const so = byMethod.get(method) ?? { count: 0, worst: 0 };
  byMethod.set(method, {
    count: so.count + 1,
    worst: Math.max(so.worst, largestDifference(trace, expected) / scale),
  });
}
for (const [method, { count, worst }] of byMethod) {
  rows.push({
    stage: "scheduler",
    subject: `\`${method}\`, ${count} settings, every step, relative to the largest value`,
    difference: number(worst),
    limit: "1e-4",
  });
}

for (const name of checkpoints) {
  const { facts, tensor } = await readGoldens<CheckpointFacts>(`${name}/golden`);
  const directory = join(goldensDir, name);
  const { tokenizer, textEncoder, unet, vae } = await readModelFolder(directory);
  const wrong = facts.prompts.filter(({ prompt, ids }) => tokenizer.encode(prompt).join() !== ids.join());
  const add = (stage: string, difference: number | string, limit: string, subject = "") =>
    rows.push({
      stage,
      subject: `\`${name}\`${subject}`,
      difference: typeof difference === "number" ? number(difference) : difference,
      limit,
    });
  add("token ids", `${wrong.length} of ${facts.prompts.length} prompts`, "0");

  const ids = facts.prompts.slice(1, 3).flatMap((prompt) => prompt.ids);
  const embeddings = tensor("text.embeddings");
  const encoded = await run(
    buildClipText(textEncoder.tensors, textEncoder.config, tokenizer.length),
    textEncoder.directory,
    clipTextInputs(textEncoder.config, ids, 2),
  );
  add("text embeddings", largestDifference(encoded, embeddings.floats), "1e-4");

  const sample = tensor("unet.sample");
  for (const timestep of [999, 500, 1]) {
    const features = timeFeatures(unet.config, timestep);
    const noise = await run(buildUNet(unet.tensors, unet.config), unet.directory, {
      [UNET_INPUTS.sample]: { data: sample.floats, shape: sample.shape },
      [UNET_INPUTS.time]: { data: features, shape: [1, features.length] },
      [UNET_INPUTS.context]: { data: embeddings.floats, shape: embeddings.shape },
    });
    add(
      "UNet, one step",
      largestDifference(noise, tensor(`unet.noise.${timestep}`).floats),
      "1e-4",
      `, t = ${timestep}`,
    );
  }
  const latents = tensor("vae.latents");
  const decoded = await run(buildVaeDecoder(vae.tensors, vae.config), vae.directory, {
    latents: { data: latents.floats, shape: latents.shape },
  });
  add("VAE decoder", largestDifference(decoded, tensor("vae.image").floats), "1e-4");

  const pipeline = await loadPipeline(directory, { threads: 1 });
  await addRuns(name, pipeline, facts.runs, tensor);
  await pipeline.close();
}

const scratch = await mkdtemp(join(tmpdir(), "parity-"));
for (const name of singleFiles) {
  const { facts, tensor } = await readGoldens<SingleFileFacts>(name);
  const path = join(scratch, "model.safetensors");
  await writeSingleFile(path, facts);
  const tokenizerDir = join(goldensDir, facts.tokenizer, "tokenizer");
  const { textEncoder, tokenizer } = await readModel(path, tokenizerDir);
  const encoded = await run(
    buildClipText(textEncoder.tensors, textEncoder.config, tokenizer.length),
    textEncoder.directory,
    clipTextInputs(textEncoder.config, facts.ids, 1),
  );
  rows.push({
    stage: "text embeddings",
    subject: `\`${name}\``,
    difference: number(largestDifference(encoded, tensor("text.embeddings").floats)),
    limit: "1e-4",
  });
  const pipeline = await loadPipeline(path, { threads: 1, tokenizerDir });
  await addRuns(name, pipeline, facts.runs, tensor);
  await pipeline.close();
}
await rm(scratch, { recursive: true });

const guided = "lcm-guided";
const guidedGoldens = await readGoldens<CheckpointFacts>(`${guided}/golden`);
const guidedPipeline = await loadPipeline(join(goldensDir, guided), { threads: 1 });
await addRuns(guided, guidedPipeline, guidedGoldens.facts.runs, guidedGoldens.tensor);
await guidedPipeline.close();

const { facts: promptFacts, tensor: promptTensor } = await readGoldens<PromptFacts>("prompts");
const accepted = promptFacts.parsed.filter((golden) => !("refused" in golden));
rows.push({
  stage: "prompt language",
  subject: "fragments and weights",
  difference: `${accepted.filter((golden) => !readsLike(golden)).length} of ${accepted.length} prompts`,
  limit: "0",
});
for (const name of checkpoints) {
  const encoder = await openTextEncoder(join(goldensDir, name));
  const encoded = promptFacts.encoded.flatMap(({ checkpoint, prompt }, i) =>
    checkpoint === name ? [{ prompts: [prompt], golden: `encoded.${i}` }] : [],
  );
  const own = name === checkpoints[0];
  const pairs = promptFacts.pairs.map(({ prompt, negative }, i) => ({
    prompts: [negative, prompt],
    golden: `pair.${i}`,
  }));
  const worst = await largestOf(encoder, own ? [...encoded, ...pairs] : encoded);
  const add = (stage: string, count: number, difference: number) =>
    rows.push({
      stage,
      subject: `\`${name}\`, ${count} prompts`,
      difference: number(difference),
      limit: "1e-4",
    });
  if (encoded.length > 0) add("prompt embeddings", encoded.length + (own ? pairs.length : 0), worst);
  if (own) {
    const files = ["cat-toy", "style", "hat"].map((file) =>
      join(goldensDir, `embeddings/${file}.safetensors`),
    );
    const { tokens, embeddings } = await readTextualInversions(
      files.map((path) => ({ path })),
      encoder.config,
    );
    const learning = { ...encoder, tokenizer: encoder.tokenizer.withTokens(tokens) };
    const learned = promptFacts.learned.map(({ prompt }, i) => ({
      prompts: [prompt],
      golden: `learned.${i}`,
    }));
    add("textual inversion", learned.length, await largestOf(learning, learned, embeddings));
  }
  await encoder.network.release();
}

async function addRuns(
  name: string,
  pipeline: DiffusionPipeline,
  runs: readonly GoldenRun[],
  tensor: (name: string) => GoldenTensor,
): Promise<void> {
  for (const [index, golden] of runs.entries()) {
    const { latents, pixels, phashBits } = await differenceOf(pipeline, golden, index, tensor);
    const subject = `\`${name}\`, ${titleOf(golden)}`;
    rows.push({ stage: "final latents", subject, difference: number(latents), limit: "1e-3" });
    rows.push({
      stage: "image",
      subject,
      difference: `${pixels} of 255, pHash ${phashBits} bits`,
      limit: "1, 0",
    });
  }
}

function readsLike(golden: PromptFacts["parsed"][number]): boolean {
  if ("refused" in golden) return false;
  const { combine, parts } = readPrompt(golden.prompt);
  const round = (weight: number) => Number(weight.toPrecision(12));
  const comparable = (of: { fragments: readonly (readonly [string, number])[]; weight: number }[]) =>
    JSON.stringify(
      of.map((part) => [part.weight, part.fragments.map(([text, weight]) => [text, round(weight)])]),
    );
  const ours = parts.map(({ fragments, weight }) => ({
    fragments: fragments.map((fragment) => [fragment.text, fragment.weight] as const),
    weight,
  }));
  // Compel takes adapters and nothing else for a prompt of no parts.
  const theirs = golden.parts.length > 0 ? golden.parts : [{ fragments: [["", 1] as const], weight: 1 }];
  return combine === golden.combine && comparable(ours) === comparable(theirs);
}

async function openTextEncoder(directory: string): Promise<TextEncoder> {
  const { tokenizer, textEncoder } = await readModelFolder(directory);
  const graph = buildClipText(textEncoder.tensors, textEncoder.config, tokenizer.length);
  const network = await openNetwork(graph, textEncoder.directory, { provider: "cpu", threads: 1 });
  return { network, config: textEncoder.config, tokenizer };
}

async function largestOf(
  encoder: TextEncoder,
  cases: readonly { prompts: string[]; golden: string }[],
  learned?: Float32Array,
): Promise<number> {
  let largest = 0;
  for (const { prompts, golden } of cases) {
    const { data } = await encodePrompts(prompts, encoder, learned && { learned });
    largest = Math.max(largest, largestDifference(data, promptTensor(golden).floats));
  }
  return largest;
}

const versions = JSON.parse(await readFile(join(goldensDir, "versions.json"), "utf8")) as Record<
  string,
  string
>;
const cells = rows.map(
  ({ stage, subject, difference, limit }) => `| ${stage} | ${subject} | ${difference} | ${limit} |`,
);
const page = `# Diffusion parity

How far the engine (\`packages/diffusion\`) is from diffusers and Compel, stage by stage: the largest absolute difference over all elements.
Written by \`node packages/diffusion/scripts/parity.ts\`; the limits are asserted by the package's tests.

Reference: ${Object.entries(versions)
  .map(([name, version]) => `${name} ${version}`)
  .join(", ")}, compel ${promptFacts.compel}, fp32 on one CPU thread, over checkpoints
that \`packages/diffusion/goldens/generate.py\` makes with random weights (test-vectors/diffusion). Engine: ONNX Runtime ${enginePlatform().runtimeVersion}, CPU.

- \`classic-kl-fp16\`: SD 1.x as published, only narrow: AutoencoderKL, fp16, convolutions as projections.
- \`deep-tiny-v\`: three uneven levels, other head counts and depths at each, linear projections, Mish, v-prediction, AutoencoderTiny, bf16 text encoder, latents that
  do not halve evenly, another padding token.
- \`plain-kl8-shards\`: no attention but in the middle, sharded fp32 weights, VAE of factor 8 without attention and post-quantisation.
- \`sd1-single-file\`, \`sd2-single-file\`: one safetensors file in the layout of latent diffusion, fp32 with CLIP and fp16 with OpenCLIP, v-prediction. The reference
  is what diffusers' own conversion makes of the same tensors; \`packages/diffusion/goldens/single_file.py\` wrote it down. The tests also find the
  configurations of SD 1.5 and SD 2.1 in the shapes of their tensors, and every tensor that the graphs need.
- \`lcm-guided\`: a network with the strength of guidance among its inputs, as latent consistency models have it.

| stage | subject | largest difference | limit |
| --- | --- | --- | --- |
${cells.join("\n")}

## What is deliberately different
- The noise stream is that of torch on x86 with AVX2 or wider, which takes single-precision polynomials for logarithm, sine and cosine with fused multiply-adds. torch on
  other machines draws the same uniform numbers, but its normal numbers may differ in the last bits; this engine gives the same ones everywhere.
- Noise is drawn in fp32, whatever the weights are stored in. A half-precision diffusers pipeline draws half-precision noise, which is another picture.
- Computation is fp32, also with fp16 and bf16 weights.
- A Karras or Lu schedule whose first two timesteps round to the same number makes diffusers run out of noise levels and fail; here it starts at the first.
- With trailing timesteps some numbers of steps (61 and 103 are the first) make the reference visit one timestep more, the one before zero. DDIM and PNDM take it for the
  last of the noise schedule and spoil the picture; here they leave it out.
- UniPC's \`bh1\` down to zero noise gives no numbers in the reference; here the term that vanishes is left out. \`predict_x0: false\` and \`lower_order_final: false\`, which
  cannot reach zero noise, are refused unless \`final_sigmas_type\` is \`sigma_min\`. So is DDIM or LCM predicting noise from a timestep that is all noise.
- A file of SD 2.x that does not say what it predicts is taken for v-prediction at 768 px, as diffusers does. For the 512 px base model a request sets \`prediction_type\` and the size.
- More steps than training timesteps are refused with \`ARGS_SCHEDULER_INVALID\`.
- Several images are made one after the other from one generator, as the reference's task runner does, not as one batch.
- What Compel refuses is an ordinary prompt here: other than one weight for each part of a \`.blend()\` or \`.and()\`, weights that are no
  numbers, text behind a \`.blend()\`, parts of it that are empty or swapped, a prompt of adapters only, vertical tabs.
- Compel 2.4.0 fails on every \`.blend()\` and \`.swap()\`, because it passes itself an argument that it does not take
  (https://github.com/damian0815/compel/pull/131); the comparison is with that repaired. It also fails on a weight below 1 for no text, which has no effect here.
- Any number of backslashes before a parenthesis or a quotation mark is one escape. Weights end at a million, groups in groups at 64, a prompt
  at 64 times what the text encoder takes. Weights of a \`.blend()\` that sum to zero are taken as they are.
- A textual inversion of several vectors is all of them; the reference's task runner takes the first only. One without a name of its own is named after its file.
`;
await writeFile(join(import.meta.dirname, "../../../docs/diffusion-parity.md"), page);
console.log(cells.join("\n"));
