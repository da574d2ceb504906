/**
 * Speed and memory of the diffusion engine on one model: time to load, per denoising step (with guidance, so two predictions a
 * step), to encode the prompt, to decode and write an image, and the resident memory of the process. One warm-up image first.
 *
 *   node benchmarks/diffusion.ts [--model models/hydrogen-emoji-64] [--images 5] [--steps 20] [--threads auto]
 */
import { parseArgs } from "node:util";
import { encodePng, loadPipeline } from "../packages/diffusion/src/index.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "models/hydrogen-emoji-64" },
    images: { type: "string", default: "5" },
    steps: { type: "string", default: "20" },
    threads: { type: "string", default: "auto" },
  },
});
const threads = values.threads === "auto" ? "auto" : Number(values.threads);
const steps = Number(values.steps);
const rssMb = () => Math.round(process.memoryUsage().rss / 2 ** 20);
const rounded = (ms: number) => Math.round(ms * 10) / 10;
const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

const idleMb = rssMb();
const started = performance.now();
const pipeline = await loadPipeline(values.model, { threads });
const loadMs = performance.now() - started;

const stepsMs: number[] = [];
const runs: { text: number; decode: number; png: number; total: number }[] = [];
for (let seed = 0; seed <= Number(values.images); seed++) {
  const warm = seed > 0;
  const { images, timingsMs } = await pipeline.generate(
    {
      prompt: "a red apple",
      steps,
      cfg: 5,
      seed,
      numImages: 1,
      scheduler: { method: "DPMSolverMultistepScheduler" },
    },
    {
      onStep: ({ ms }) => {
        if (warm) stepsMs.push(ms);
      },
    },
  );
  const encoding = performance.now();
  for (const image of images) encodePng(image);
  const png = performance.now() - encoding;
  if (warm) runs.push({ text: timingsMs.text, decode: timingsMs.decode, png, total: timingsMs.total + png });
}

console.log(`${pipeline.fingerprint}, ${pipeline.threads} thread(s), ${steps} steps with guidance`);
console.table({
  "load, ms": rounded(loadMs),
  "step, ms (median)": rounded(median(stepsMs)),
  "step, ms (best)": rounded(Math.min(...stepsMs)),
  "prompt, ms": rounded(median(runs.map((run) => run.text))),
  "decode, ms": rounded(median(runs.map((run) => run.decode))),
  "PNG, ms": rounded(median(runs.map((run) => run.png))),
  "image, ms": rounded(median(runs.map((run) => run.total))),
  "memory before, MB": idleMb,
  "memory after, MB": rssMb(),
});
await pipeline.close();
