import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommonFacts, readGoldens } from "../goldens/read.ts";
import { createNoiseStream } from "./noise.ts";

const goldens = await readGoldens<CommonFacts>("common");
const { sizes, seeds } = goldens.facts.noise;

for (const seed of seeds) {
  test(`draws what torch draws for seed ${seed}, bit for bit`, () => {
    const stream = createNoiseStream(seed);
    const drawn = Float32Array.from(sizes.flatMap((size) => [...stream.normal(size)]));
    assert.deepEqual(drawn, goldens.tensor(`noise.${seed}`).floats);
  });
}

test("gives another stream for another seed", () => {
  assert.notDeepEqual(createNoiseStream(1).normal(16), createNoiseStream(2).normal(16));
});

test("is normally distributed", () => {
  const values = createNoiseStream(42).normal(100_000);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  assert.ok(Math.abs(mean) < 0.01, `mean ${mean}`);
  assert.ok(Math.abs(variance - 1) < 0.02, `variance ${variance}`);
});
