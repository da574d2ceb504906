import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { type CheckpointFacts, goldensDir, readGoldens } from "../goldens/read.ts";
import { differenceOf, titleOf } from "../goldens/runs.ts";
import { loadPipeline } from "./load.ts";

const name = "lcm-guided";
const { facts, tensor } = await readGoldens<CheckpointFacts>(`${name}/golden`);
const pipeline = await loadPipeline(join(goldensDir, name));
after(() => pipeline.close());

for (const [index, run] of facts.runs.entries()) {
  test(`a network that takes the strength of guidance: ${titleOf(run)}: as diffusers`, async () => {
    const difference = await differenceOf(pipeline, run, index, tensor);
    assert.ok(difference.latents <= 1e-3 && difference.pixels <= 1, JSON.stringify(difference));
    assert.equal(difference.phashBits, 0);
  });
}

test("a network that takes the strength of guidance heeds it and no negative prompt", async () => {
  const request = {
    prompt: "a red apple",
    steps: 2,
    cfg: 8,
    seed: 7,
    numImages: 1,
    scheduler: { method: "LCMScheduler" },
  };
  const [plain, negative, weaker] = await Promise.all([
    pipeline.generate(request),
    pipeline.generate({ ...request, negativePrompt: "a blue cat" }),
    pipeline.generate({ ...request, cfg: 2 }),
  ]);
  assert.deepEqual(negative.images, plain.images);
  assert.notDeepEqual(weaker.images, plain.images);
});
