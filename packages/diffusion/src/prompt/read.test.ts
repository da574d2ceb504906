import assert from "node:assert/strict";
import { test } from "node:test";
import { type PromptFacts, readGoldens } from "../../goldens/read.ts";
import { readPrompt } from "./read.ts";

const { facts } = await readGoldens<PromptFacts>("prompts");

/** Weights are products, whose last bits depend on the order. */
const round = (weight: number) => Number(weight.toPrecision(12));

function comparable(text: string) {
  const { combine, parts, loras } = readPrompt(text);
  return {
    combine,
    parts: parts.map(({ fragments, weight }) => ({
      fragments: fragments.map((fragment) => [fragment.text, round(fragment.weight)]),
      weight: round(weight),
    })),
    loras: loras.map(({ name, weight }) => [name, round(weight)]),
  };
}

const single = (text: string) => [{ fragments: [[text, 1]], weight: 1 }];

for (const golden of facts.parsed) {
  if ("refused" in golden) continue;
  const { prompt, combine, loras } = golden;
  // Compel reads adapters and nothing else as a prompt of no parts, which it cannot encode then.
  const parts = golden.parts.length === 0 ? single("") : golden.parts;
  test(`reads ${JSON.stringify(prompt)} as Compel does`, () => {
    const expected = parts.map((part) => ({
      fragments: part.fragments.map(([text, weight]) => [text, round(weight as number)]),
      weight: round(part.weight),
    }));
    assert.deepEqual(comparable(prompt), { combine, parts: expected, loras });
  });
}

test("reads what Compel refuses as an ordinary prompt", () => {
  const refused = facts.parsed.filter((golden) => "refused" in golden).map(({ prompt }) => prompt);
  assert.ok(refused.length >= 5);
  for (const prompt of refused) assert.equal(readPrompt(prompt).combine, "and", prompt);
  assert.deepEqual(
    comparable('("a cat", "a dog").blend(1)').parts,
    single("a cat , a dog .blend(1)"),
    "two parts, one weight",
  );
});

test("takes every white space of ASCII between words, and none as a word", () => {
  assert.deepEqual(comparable("\t a\vb \f\r\n c ").parts, single("a b c"));
  assert.deepEqual(comparable(" \n\v ").parts, single(""));
});

test("takes weights too large for single precision as large ones", () => {
  const huge = `((cat)${"9".repeat(400)})${"9".repeat(400)} dog${"+".repeat(100_000)}`;
  for (const { weight } of readPrompt(huge).parts[0]!.fragments) assert.equal(weight, 1e6);
});

const PIECES = [
  ...'abc+-().,"=\\ \t\n\v\u00a0é日0179[]:{}<>|*',
  ...["🙂", "\ud83d", '\\"', "\\(", "\\)", "++", "--", "1.2", "((", "))", '""', "red cat", '"a b"', "(a b)"],
  ...[
    ".attend(",
    ".swap(",
    ".blend(",
    ".and(",
    ".add(",
    "withLora(",
    "useLora(",
    "no_normalize",
    "s_start=0.1",
  ],
  ...['("a", "b").blend(', '("a", "b").and(', '("', '", "', '")', "\0", "\u2028"],
];

/** Small, fast and good enough for choosing. @see https://prng.di.unimi.it/splitmix64.c, on 32 bits */
function chooser(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % count;
  };
}

test("reads any text, and keeps to weights that are numbers", (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 20260901);
  const runs = Number(process.env.FUZZ_RUNS ?? 20_000);
  t.diagnostic(`FUZZ_SEED=${seed} FUZZ_RUNS=${runs}`);
  const choose = chooser(seed);
  for (let run = 0; run < runs; run++) {
    const length = choose(run % 100 === 0 ? 400 : 24);
    const text = Array.from({ length }, () => PIECES[choose(PIECES.length)]!).join("");
    const { parts } = readPrompt(text);
    const fragments = parts.flatMap((part) => part.fragments);
    assert.ok(parts.length > 0 && fragments.length > 0, text);
    for (const { weight } of [...parts, ...fragments]) assert.ok(Number.isFinite(weight), text);
    for (const { weight } of fragments) assert.ok(weight >= 0, text);
  }
});

const long = 20_000;
const hostile: Record<string, string> = {
  "open parentheses": "(".repeat(long),
  "open parentheses and spaces": "( ".repeat(long),
  "nested parentheses": `${"(".repeat(long)}a${")".repeat(long)}`,
  "nested parentheses and spaces": `${"( a ".repeat(long)}${") ".repeat(long)}`,
  "nested weights": `${"(a ".repeat(long)}${")1.1 ".repeat(long)}`,
  "unfinished swaps": "a.swap(".repeat(long),
  "unfinished swaps and spaces": "a.swap( ".repeat(long),
  "unfinished operators": '("a").attend(('.repeat(long),
  quotes: '"'.repeat(long + 1),
  "quotes and spaces": '" '.repeat(long + 1),
  "escaped quotes": `"${'\\"'.repeat(long)}`,
  "quotes that hold no phrase": '"= '.repeat(long),
  "unfinished blend": `(${'"a b", '.repeat(long)}`,
  "unfinished options": `("a", "b").blend(${"1, ".repeat(long)}`,
  backslashes: "\\".repeat(long),
  signs: "+-".repeat(long),
  "one word": "a".repeat(50 * long),
  commas: ",a".repeat(long),
};

for (const [name, text] of Object.entries(hostile)) {
  test(`does not choke on ${name}`, () => {
    const before = process.cpuUsage();
    readPrompt(text);
    const { user, system } = process.cpuUsage(before);
    // In time of the processor: the machine may be busy with other things.
    assert.ok(user + system < 2_000_000, `took ${user + system} µs`);
  });
}
