import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { type CheckpointFacts, checkpoints, goldensDir, readGoldens } from "../goldens/read.ts";
import { differenceOf, titleOf } from "../goldens/runs.ts";
import { loadPipeline } from "./load.ts";
import type { DiffusionPipeline } from "./pipeline.ts";
import type { GenerateRequest } from "./request.ts";

const pipelines = new Map<string, DiffusionPipeline>();
for (const name of checkpoints)
  pipelines.set(name, await loadPipeline(join(goldensDir, name), { threads: 1 }));
after(() => Promise.all([...pipelines.values()].map((pipeline) => pipeline.close())));
const pipeline = pipelines.get(checkpoints[0])!;

for (const name of checkpoints) {
  const { facts, tensor } = await readGoldens<CheckpointFacts>(`${name}/golden`);
  for (const [index, run] of facts.runs.entries()) {
    test(`${name}: ${titleOf(run)}: makes the picture that diffusers makes`, async () => {
      const difference = await differenceOf(pipelines.get(name)!, run, index, tensor);
      assert.ok(difference.latents <= 1e-3, `latents differ by ${difference.latents}`);
      assert.ok(difference.pixels <= 1, "a pixel differs by more than 1");
      assert.equal(difference.phashBits, 0);
    });
  }
}

const request: GenerateRequest = {
  prompt: "a red apple",
  steps: 3,
  cfg: 5,
  seed: 7,
  numImages: 1,
  scheduler: { method: "EulerAncestralDiscreteScheduler" },
};

test("makes the same bytes again, also on several threads, and others for another seed", async () => {
  const threaded = await loadPipeline(join(goldensDir, checkpoints[0]), { threads: 3 });
  const [first, second, onThreads, other] = await Promise.all([
    pipeline.generate(request),
    pipeline.generate(request),
    threaded.generate(request),
    pipeline.generate({ ...request, seed: 8 }),
  ]);
  await threaded.close();
  assert.deepEqual(second.images, first.images);
  assert.deepEqual(onThreads.images, first.images);
  assert.notDeepEqual(other.images, first.images);
});

test("guidance of 1 and below ignores the negative prompt", async () => {
  const plain = { ...request, cfg: 1 };
  const { images } = await pipeline.generate(plain);
  assert.deepEqual((await pipeline.generate({ ...plain, negativePrompt: "blue" })).images, images);
  assert.deepEqual((await pipeline.generate({ ...plain, cfg: 0, negativePrompt: "blue" })).images, images);
  const guided = await pipeline.generate(request);
  assert.notDeepEqual(
    (await pipeline.generate({ ...request, negativePrompt: "blue" })).images,
    guided.images,
  );
});

test("the first of several images is the single one", async () => {
  const several = await pipeline.generate({ ...request, numImages: 2 });
  const single = await pipeline.generate(request);
  assert.deepEqual(several.images[0], single.images[0]);
  assert.notDeepEqual(several.images[1], single.images[0]);
});

test("reports every step over all images", async () => {
  const seen: string[] = [];
  await pipeline.generate(
    { ...request, numImages: 2 },
    { onStep: (info) => seen.push(`${info.image}:${info.step}/${info.steps}`) },
  );
  assert.deepEqual(seen, ["0:1/6", "0:2/6", "0:3/6", "1:4/6", "1:5/6", "1:6/6"]);
});

test("stops between steps when it is cancelled, and can be used again", async () => {
  const controller = new AbortController();
  const steps: number[] = [];
  const running = pipeline.generate(
    { ...request, steps: 50 },
    {
      signal: controller.signal,
      onStep: ({ step }) => {
        steps.push(step);
        if (step === 2) controller.abort(new Error("enough"));
      },
    },
  );
  await assert.rejects(running, { code: "ENGINE_CANCELLED", failureClass: "cancelled" });
  assert.deepEqual(steps, [1, 2]);
  assert.equal((await pipeline.generate(request)).images.length, 1);
});

test("does not start what was cancelled before", async () => {
  await assert.rejects(pipeline.generate(request, { signal: AbortSignal.abort() }), {
    code: "ENGINE_CANCELLED",
  });
  await assert.rejects(loadPipeline(join(goldensDir, checkpoints[0]), { signal: AbortSignal.abort() }), {
    code: "ENGINE_CANCELLED",
  });
});

test("lets go at once of what is cancelled while it waits its turn", async () => {
  const controller = new AbortController();
  const ended: string[] = [];
  const first = pipeline.generate(request, { onStep: () => controller.abort() });
  const second = pipeline.generate(request, { signal: controller.signal });
  await Promise.allSettled([
    first.finally(() => ended.push("first")),
    second.finally(() => ended.push("second")),
  ]);
  await assert.rejects(second, { code: "ENGINE_CANCELLED" });
  assert.deepEqual(ended, ["second", "first"]);
});

test("understands the language of prompts, and leaves plain prompts alone", async () => {
  const images = async (prompt: string) => (await pipeline.generate({ ...request, prompt })).images;
  const plain = await images("a red apple");
  assert.deepEqual(await images("a (red) (apple)1.0"), plain);
  for (const prompt of ["a red++ apple", "a (red)0.5 apple", '("a red", "apple").and()']) {
    assert.notDeepEqual(await images(prompt), plain, prompt);
  }
});

test("takes prompts of any sensible length", async () => {
  const long = await pipeline.generate({
    ...request,
    prompt: "a red apple, ".repeat(40),
    negativePrompt: "dark",
  });
  assert.equal(long.images.length, 1);
  const endless = pipeline.generate({ ...request, prompt: "apple ".repeat(5000) });
  await assert.rejects(endless, { code: "ARGS_INVALID", failureClass: "args_invalid" });
});

test("learns words for one request", async () => {
  const path = join(goldensDir, "embeddings/cat-toy.safetensors");
  const toy = { ...request, prompt: "a <cat-toy>" };
  const unknown = await pipeline.generate(toy);
  const known = await pipeline.generate({ ...toy, textualInversions: [{ path }] });
  assert.notDeepEqual(known.images, unknown.images);
  const renamed = { ...request, prompt: "a thing", textualInversions: [{ path, token: "thing" }] };
  assert.deepEqual((await pipeline.generate(renamed)).images, known.images);
  assert.deepEqual((await pipeline.generate(toy)).images, unknown.images, "and forgets them again");
  await assert.rejects(pipeline.generate({ ...toy, textualInversions: [{ path: `${path}.none` }] }), {
    failureClass: "model_invalid",
  });
});

test("refuses sizes that the model cannot make", async () => {
  const refused = { code: "ARGS_SIZE_INVALID", failureClass: "args_invalid" };
  for (const widthPx of [0, -8, 12, 8.5, 1 << 20, Number.NaN]) {
    await assert.rejects(pipeline.generate({ ...request, widthPx }), refused);
  }
});

test("refuses values out of range", async () => {
  const refused = { code: "ARGS_INVALID", failureClass: "args_invalid" };
  const wrong: Partial<GenerateRequest>[] = [
    { steps: 0 },
    { steps: 1.5 },
    { cfg: Number.NaN },
    { cfg: -1 },
    { seed: -1 },
    { seed: 0.5 },
    { numImages: 0 },
    { textualInversions: ["file"] as never },
  ];
  for (const part of wrong) await assert.rejects(pipeline.generate({ ...request, ...part }), refused);
});

test("refuses more steps than the model has timesteps", async () => {
  const scheduler = { ...request.scheduler, args: { num_train_timesteps: 10 } };
  await assert.rejects(pipeline.generate({ ...request, steps: 11, scheduler }), {
    code: "ARGS_SCHEDULER_INVALID",
  });
});

test("falls back to the next provider, and says so when none is left", async () => {
  const directory = join(goldensDir, checkpoints[0]);
  const fallen = await loadPipeline(directory, { providers: ["no-such-provider", "cpu"], threads: 1 });
  assert.equal(fallen.provider, "cpu");
  assert.equal(fallen.fingerprint, pipeline.fingerprint);
  await fallen.close();
  await assert.rejects(loadPipeline(directory, { providers: ["no-such-provider"], threads: 1 }), {
    code: "PROVIDER_UNAVAILABLE",
    failureClass: "resource",
  });
});

test("generates nothing after it is closed", async () => {
  const closing = await loadPipeline(join(goldensDir, checkpoints[2]), { threads: 1 });
  const last = closing.generate({ ...request, steps: 1 });
  await closing.close();
  assert.equal((await last).images.length, 1);
  await closing.close();
  await assert.rejects(closing.generate(request), { code: "ENGINE_CLOSED" });
});
