import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { goldensDir, largestDifference, type PromptFacts, readGoldens } from "../../goldens/read.ts";
import { buildClipText } from "../graphs/clip-text.ts";
import { readModelFolder } from "../model/folder.ts";
import { openNetwork } from "../runtime/network.ts";
import { encodePrompts, type TextEncoder } from "./encode.ts";

const encoders = new Map<string, TextEncoder>();
for (const name of ["classic-kl-fp16", "deep-tiny-v"]) {
  const { tokenizer, textEncoder } = await readModelFolder(join(goldensDir, name));
  const { tensors, config, directory } = textEncoder;
  const graph = buildClipText(tensors, config, tokenizer.length);
  const network = await openNetwork(graph, directory, { provider: "cpu", threads: 1 });
  encoders.set(name, { network, config, tokenizer });
}
after(() => Promise.all([...encoders.values()].map(({ network }) => network.release())));
const classic = encoders.get("classic-kl-fp16")!;

const { facts, tensor } = await readGoldens<PromptFacts>("prompts");

function assertClose(actual: { data: Float32Array; shape: number[] }, name: string): void {
  const expected = tensor(name);
  assert.deepEqual(actual.shape, expected.shape);
  const difference = largestDifference(actual.data, expected.floats);
  assert.ok(difference <= 1e-4, `differs by ${difference}`);
}

for (const [i, { checkpoint, prompt }] of facts.encoded.entries()) {
  test(`${checkpoint}: encodes ${JSON.stringify(prompt.slice(0, 60))} (${i}) as Compel does`, async () => {
    assertClose(await encodePrompts([prompt], encoders.get(checkpoint)!), `encoded.${i}`);
  });
}

for (const [i, { prompt, negative }] of facts.pairs.entries()) {
  test(`makes two prompts equally long (${i}) as Compel does`, async () => {
    assertClose(await encodePrompts([negative, prompt], classic), `pair.${i}`);
  });
}
