import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { goldensDir, largestDifference, type PromptFacts, readGoldens } from "../../goldens/read.ts";
import { buildClipText } from "../graphs/clip-text.ts";
import { readModelFolder } from "../model/folder.ts";
import { openNetwork } from "../runtime/network.ts";
import { encodePrompts } from "./encode.ts";
import { readTextualInversions } from "./textual-inversion.ts";

const { tokenizer, textEncoder } = await readModelFolder(join(goldensDir, "classic-kl-fp16"));
const { tensors, config, directory } = textEncoder;
const graph = buildClipText(tensors, config, tokenizer.length);
const network = await openNetwork(graph, directory, { provider: "cpu", threads: 1 });
const folder = await mkdtemp(join(tmpdir(), "embeddings-"));
after(() => Promise.all([network.release(), rm(folder, { recursive: true })]));

const golden = (name: string) => join(goldensDir, "embeddings", `${name}.safetensors`);
const files = ["cat-toy", "style", "hat"].map((name) => ({ path: golden(name) }));

const { facts, tensor } = await readGoldens<PromptFacts>("prompts");
const learned = await readTextualInversions(files, config);

for (const [i, { prompt }] of facts.learned.entries()) {
  test(`encodes ${JSON.stringify(prompt.slice(0, 60))} (${i}) as diffusers and Compel do`, async () => {
    const encoder = { network, config, tokenizer: tokenizer.withTokens(learned.tokens) };
    const actual = await encodePrompts([prompt], encoder, { learned: learned.embeddings });
    const expected = tensor(`learned.${i}`);
    assert.deepEqual(actual.shape, expected.shape);
    const difference = largestDifference(actual.data, expected.floats);
    assert.ok(difference <= 1e-4, `differs by ${difference}`);
  });
}

test("numbers the vectors of all files behind the vocabulary, and names each", () => {
  const { vocabSize: first } = config;
  assert.deepEqual(
    [...learned.tokens],
    [
      ["<cat-toy>", [first]],
      ["<style>", [first + 1, first + 2, first + 3]],
      ["<style>_1", [first + 2]],
      ["<style>_2", [first + 3]],
      ["hat", [first + 4, first + 5]],
      ["hat_1", [first + 5]],
    ],
  );
  const extended = tokenizer.withTokens(learned.tokens);
  assert.deepEqual(extended.tokenize("<style>_1<style>"), [first + 2, first + 1, first + 2, first + 3]);
  assert.equal(tokenizer.tokenize("<cat-toy>").includes(first), false, "the tokenizer itself stays as it is");
});

test("takes another name for an embedding", async () => {
  const { tokens } = await readTextualInversions([{ path: golden("cat-toy"), token: "Toy" }], config);
  assert.deepEqual([...tokens.keys()], ["toy"]);
});

async function written(
  name: string,
  entries: Record<string, { dtype: string; shape: number[]; data: Buffer }>,
) {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(entries).map(([tensor, { dtype, shape, data }]) => {
      const begin = end;
      end += data.length;
      return [tensor, { dtype, shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(folder, `${name}.safetensors`);
  await writeFile(path, Buffer.concat([length, json, ...Object.values(entries).map(({ data }) => data)]));
  return path;
}

const size = config.hiddenSize;
const floats = (...shape: number[]) => ({
  dtype: "F32",
  shape,
  data: Buffer.alloc(4 * shape.reduce((a, b) => a * b, 1)),
});

test("refuses embeddings that do not fit the model", async () => {
  const refused = { code: "MODEL_TENSOR_MISMATCH", failureClass: "model_invalid" };
  for (const shape of [[size + 1], [0, size], [1, 1, size], [size, 1], []]) {
    const path = await written(`shape-${shape.join("-")}`, { token: floats(...shape) });
    await assert.rejects(readTextualInversions([{ path }], config), refused, shape.join());
  }
});

test("refuses numbers that are none, number formats it does not know, and a multitude of vectors", async () => {
  const nan = Buffer.alloc(4 * size);
  nan.writeFloatLE(Number.NaN, 8);
  const notFinite = await written("nan", { token: { ...floats(size), data: nan } });
  await assert.rejects(readTextualInversions([{ path: notFinite }], config), {
    code: "MODEL_WEIGHTS_INVALID",
  });
  const half = Buffer.alloc(2 * size);
  half.writeUInt16LE(0x7c00, 0);
  const infinite = await written("infinite", { token: { dtype: "F16", shape: [size], data: half } });
  await assert.rejects(readTextualInversions([{ path: infinite }], config), {
    code: "MODEL_WEIGHTS_INVALID",
  });
  const integers = await written("integers", { token: { ...floats(size), dtype: "I32" } });
  await assert.rejects(readTextualInversions([{ path: integers }], config), { code: "MODEL_UNSUPPORTED" });
  const many = await written("many", { token: floats(257, size) });
  await assert.rejects(readTextualInversions([{ path: many }], config), { code: "MODEL_UNSUPPORTED" });
});

test("refuses a file without embeddings, and two embeddings with one name", async () => {
  const path = await written("nothing", {});
  await assert.rejects(readTextualInversions([{ path }], config), { code: "MODEL_TENSOR_MISSING" });
  const twice = [{ path: golden("cat-toy") }, { path: golden("hat"), token: "<CAT-toy>" }];
  const refused = { code: "ARGS_INVALID", failureClass: "args_invalid" };
  await assert.rejects(readTextualInversions(twice, config), refused);
  await assert.rejects(readTextualInversions([{ path: golden("hat"), token: " " }], config), refused);
  const two = await written("two", { a: floats(size), b: floats(size) });
  assert.equal((await readTextualInversions([{ path: two }], config)).tokens.size, 2);
  await assert.rejects(readTextualInversions([{ path: two, token: "c" }], config), {
    code: "MODEL_UNSUPPORTED",
  });
});

test("reads every number of half precision", async () => {
  const data = Buffer.alloc(2 * size);
  const halves: [number, number][] = [
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x3c00, 1],
    [0x7bff, 65504],
    [0xc000, -2],
  ];
  for (const [i, [bits]] of halves.entries()) data.writeUInt16LE(bits, 2 * i);
  const path = await written("halves", { token: { dtype: "F16", shape: [size], data } });
  const { embeddings } = await readTextualInversions([{ path }], config);
  assert.deepEqual(
    [...embeddings.subarray(0, halves.length)],
    halves.map(([, value]) => value),
  );
});
