import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { goldensDir, largestDifference, type PromptFacts, readGoldens } from "../../goldens/read.ts";
import { buildClipText, clipTextInputs } from "../graphs/clip-text.ts";
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

test("gives plain prompts what the text encoder gives, to the last bit", async () => {
  const { network, config, tokenizer } = classic;
  const texts = ["dark, blurry", "a red apple, on a table"];
  const ids = texts.flatMap((text) => tokenizer.encode(text));
  const { data } = await encodePrompts(texts, classic);
  assert.deepEqual(data, await network.run(clipTextInputs(config, ids, 2)));
});

test("a light weight on no text changes nothing", async () => {
  const plain = await encodePrompts(["cat"], classic);
  assert.deepEqual(await encodePrompts(['""0.5 cat'], classic), plain);
});

test("a blend whose weights cancel each other out is their difference", async () => {
  const { data } = await encodePrompts(['("cat", "dog").blend(1, -1)'], classic);
  const [cat, dog] = await Promise.all(["cat", "dog"].map((prompt) => encodePrompts([prompt], classic)));
  const difference = cat!.data.map((value, i) => value - dog!.data[i]!);
  assert.ok(largestDifference(data, difference) <= 1e-6);
});

const words = (count: number) => Array.from({ length: count }, (_, i) => `w${i}`);
const long = { code: "ARGS_INVALID", failureClass: "args_invalid" };

test("refuses prompts that would take forever, and soon", async () => {
  const endless = {
    tokens: words(200_000).join(" "),
    "long words": words(300)
      .map((word) => "xq".repeat(2000) + word)
      .join(" "),
    "parts of a blend": `("a"${', "a"'.repeat(5000)}).blend()`,
    "parts of an and": `("a"${', "a"'.repeat(5000)}).and()`,
    "light words": words(1200)
      .map((word, i) => `${word}${"-".repeat(1 + (i % 2))}`)
      .join(" "),
  };
  for (const [name, prompt] of Object.entries(endless)) {
    const before = process.cpuUsage();
    await assert.rejects(encodePrompts([prompt], classic), long, name);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 5_000_000, `${name} took ${user + system} µs`);
  }
});

test("can be cancelled between batches", async () => {
  const controller = new AbortController();
  let runs = 0;
  const network = {
    ...classic.network,
    async run(inputs: Parameters<typeof classic.network.run>[0]) {
      runs++;
      controller.abort();
      return classic.network.run(inputs);
    },
  };
  const encoding = encodePrompts([words(400).join(" ")], { ...classic, network }, controller);
  await assert.rejects(encoding, { code: "ENGINE_CANCELLED" });
  assert.equal(runs, 1);
});
