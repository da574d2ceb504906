import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import {
  type CheckpointFacts,
  checkpoints,
  goldensDir,
  largestDifference,
  readGoldens,
} from "../../goldens/read.ts";
import { readModelFolder } from "../model/folder.ts";
import { type Input, openNetwork } from "../runtime/network.ts";
import { buildClipText, clipTextInputs } from "./clip-text.ts";
import { buildUNet, timeFeatures, UNET_INPUTS } from "./unet.ts";
import { buildVaeDecoder } from "./vae.ts";

async function run(
  model: Uint8Array,
  directory: string,
  inputs: Record<string, Input>,
): Promise<Float32Array> {
  const network = await openNetwork(model, directory, { provider: "cpu", threads: 1 });
  try {
    return await network.run(inputs);
  } finally {
    await network.release();
  }
}

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  const difference = largestDifference(actual, expected);
  assert.ok(difference <= tolerance, `differs by ${difference}`);
}

for (const name of checkpoints) {
  const { facts, tensor } = await readGoldens<CheckpointFacts>(`${name}/golden`);
  const { textEncoder, unet, vae, tokenizer } = await readModelFolder(join(goldensDir, name));
  const embeddings = tensor("text.embeddings");

  test(`${name}: encodes text as transformers does`, async () => {
    const ids = facts.prompts.slice(1, 3).flatMap((prompt) => prompt.ids);
    const model = buildClipText(textEncoder.tensors, textEncoder.config, tokenizer.length);
    const output = await run(model, textEncoder.directory, clipTextInputs(textEncoder.config, ids, 2));
    assertClose(output, embeddings.floats, 1e-4);
  });

  for (const timestep of [999, 500, 1]) {
    test(`${name}: predicts noise at timestep ${timestep} as diffusers does`, async () => {
      const sample = tensor("unet.sample");
      const features = timeFeatures(unet.config, timestep);
      const output = await run(buildUNet(unet.tensors, unet.config), unet.directory, {
        [UNET_INPUTS.sample]: { data: sample.floats, shape: sample.shape },
        [UNET_INPUTS.time]: { data: features, shape: [1, features.length] },
        [UNET_INPUTS.context]: { data: embeddings.floats, shape: embeddings.shape },
      });
      assertClose(output, tensor(`unet.noise.${timestep}`).floats, 1e-4);
    });
  }

  test(`${name}: decodes latents as diffusers does`, async () => {
    const latents = tensor("vae.latents");
    const output = await run(buildVaeDecoder(vae.tensors, vae.config), vae.directory, {
      latents: { data: latents.floats, shape: latents.shape },
    });
    assertClose(output, tensor("vae.image").floats, 1e-4);
  });
}

test("takes the old names of the middle attention's weights", async () => {
  const { vae } = await readModelFolder(join(goldensDir, checkpoints[0]));
  const old = { to_q: "query", to_k: "key", to_v: "value", "to_out.0": "proj_attn" };
  const renamed = new Map(
    [...vae.tensors].map(([name, info]) => [
      name.replace(
        /(attentions\.0\.)(to_[qkv]|to_out\.0)/,
        (_, path, part) => path + old[part as keyof typeof old],
      ),
      info,
    ]),
  );
  assert.ok(renamed.has("decoder.mid_block.attentions.0.query.weight"));
  assert.doesNotThrow(() => buildVaeDecoder(renamed, vae.config));
});

test("says which tensor is missing or has the wrong shape", async () => {
  const { unet } = await readModelFolder(join(goldensDir, checkpoints[0]));
  const lacking = new Map(unet.tensors);
  lacking.delete("mid_block.attentions.0.proj_in.weight");
  assert.throws(() => buildUNet(lacking, unet.config), {
    code: "MODEL_TENSOR_MISSING",
    facts: { tensor: "mid_block.attentions.0.proj_in.weight" },
  });
  const [first, ...rest] = unet.config.levels;
  const wider = { ...unet.config, levels: [{ ...first, channels: 64 }, ...rest] as const };
  assert.throws(() => buildUNet(unet.tensors, { ...wider, levels: [wider.levels[0], ...rest] }), {
    code: "MODEL_TENSOR_MISMATCH",
    failureClass: "model_invalid",
  });
});
