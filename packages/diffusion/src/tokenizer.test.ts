import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type CheckpointFacts, checkpoints, goldensDir, readGoldens } from "../goldens/read.ts";
import { createClipTokenizer } from "./tokenizer.ts";

/** As the folder reader would pass them: from two files, or from the one that newer versions of transformers write. */
async function filesOf(name: string) {
  const folder = join(goldensDir, name, "tokenizer");
  const read = (file: string) => readFile(join(folder, file), "utf8");
  const settings = JSON.parse(await read("tokenizer_config.json")) as Record<string, unknown>;
  if (existsSync(join(folder, "tokenizer.json"))) {
    const { model } = JSON.parse(await read("tokenizer.json")) as {
      model: { vocab: Vocab; merges: unknown };
    };
    return { ...model, settings };
  }
  return { vocab: JSON.parse(await read("vocab.json")) as Vocab, merges: await read("merges.txt"), settings };
}

type Vocab = Record<string, number>;

const files = await filesOf(checkpoints[0]);
const invalid = { code: "MODEL_TOKENIZER_INVALID", failureClass: "model_invalid" };

for (const name of checkpoints) {
  const { facts } = await readGoldens<CheckpointFacts>(`${name}/golden`);
  const tokenizer = createClipTokenizer(await filesOf(name), 1000, 77);
  for (const { prompt, ids } of facts.prompts) {
    test(`${name}: cuts ${JSON.stringify(prompt.slice(0, 40))} as transformers does`, () => {
      assert.deepEqual(tokenizer.encode(prompt), ids);
    });
  }
}

test("keeps the end token when a prompt is cut off", () => {
  const tokenizer = createClipTokenizer({ ...files, settings: { model_max_length: 5 } }, 1000, 77);
  const ids = tokenizer.encode("a red apple on a table");
  assert.equal(ids.length, 5);
  assert.equal(ids.at(-1), files.vocab["<|endoftext|>"]);
});

test("does not choke on a word of a million letters", () => {
  const tokenizer = createClipTokenizer(files, 1000, 77);
  assert.equal(tokenizer.encode("x".repeat(1_000_000)).length, tokenizer.length);
});

test("takes further tokens anywhere and in any case, the longest first", () => {
  const plain = createClipTokenizer(files, 1000, 77);
  const [a, cat] = ["a", "cat"].map((word) => plain.tokenize(word));
  const learned = plain.withTokens(
    new Map([
      ["<Toy>", [900]],
      ["<toy>_1", [901, 902]],
    ]),
  );
  assert.deepEqual(learned.tokenize("A<TOY>cat <toy>_1<toy>"), [...a!, 900, ...cat!, 901, 902, 900]);
  assert.deepEqual(learned.encode("<toy>").slice(1, 3), [900, plain.end]);
  const more = learned.withTokens(new Map([["cat", [903]]]));
  assert.deepEqual(more.tokenize("cat <toy>"), [903, 900]);
  assert.deepEqual(plain.tokenize("a cat"), [...a!, ...cat!]);
});

test("refuses an id that the text encoder has no embedding for", () => {
  assert.throws(() => createClipTokenizer(files, 100, 77), invalid);
});

test("refuses a vocabulary without its special tokens", () => {
  const { "<|endoftext|>": _, ...vocab } = files.vocab;
  assert.throws(() => createClipTokenizer({ ...files, vocab }, 1000, 77), invalid);
  assert.throws(() => createClipTokenizer({ ...files, vocab: [] }, 1000, 77), invalid);
});

test("refuses merges that are not pairs", () => {
  assert.throws(() => createClipTokenizer({ ...files, merges: "#version\na b c\n" }, 1000, 77), invalid);
  assert.throws(() => createClipTokenizer({ ...files, merges: [["a", 1]] }, 1000, 77), invalid);
  assert.throws(() => createClipTokenizer({ ...files, merges: undefined }, 1000, 77), invalid);
});

test("refuses a length that makes no sense, and takes what the text encoder has where none is named", () => {
  for (const model_max_length of [1, -5, "77", Number.NaN]) {
    assert.throws(() => createClipTokenizer({ ...files, settings: { model_max_length } }, 1000, 77), invalid);
  }
  for (const settings of [{}, { model_max_length: 1e30 }]) {
    assert.equal(createClipTokenizer({ ...files, settings }, 1000, 24).length, 24);
  }
});
