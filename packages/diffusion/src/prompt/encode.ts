/**
 * From prompts to what the denoiser listens to, with Compel's arithmetic. A weight moves a token's encoding away from
 * or towards that of the empty prompt, `e + w (z − e)`. A weight below 1 does that and more: the encoding is also
 * mixed with one in which the fragment's tokens are hidden from all others, the more the lighter it is.
 */
import { throwIfCancelled } from "../cancel.ts";
import { diffusionError } from "../errors.ts";
import { type ClipTextConfig, clipTextInputs } from "../graphs/clip-text.ts";
import type { Network } from "../runtime/network.ts";
import type { ClipTokenizer } from "../tokenizer.ts";
import { chunkFragments, type Range } from "./chunks.ts";
import { readPrompt } from "./read.ts";
import type { Fragment, Prompt } from "./syntax.ts";

export type TextEncoder = { network: Network; config: ClipTextConfig; tokenizer: ClipTokenizer };

/** [prompts, tokens, channels]; the number of tokens is a multiple of what the text encoder takes. */
export type Conditioning = { data: Float32Array; shape: [number, number, number] };

/** 4,800 tokens of text: each costs time in every step, and beyond this only that. */
const MAX_CHUNKS = 64;
/** What the text encoder computes for a request; every light fragment costs a row. */
const MAX_ROWS = 512;
/** Rows that go through the text encoder at once. */
const MAX_BATCH = 8;
/** A fragment of weight 0 is hidden, as far as single precision goes. */
const MIN_HIDING_WEIGHT = 1e-5;

/**
 * The encodings of prompts, made equally long with encodings of the empty prompt.
 *
 * @param learned embeddings of the ids that the tokenizer has beyond the vocabulary.
 * @throws ARGS_INVALID (a prompt is too long), ENGINE_CANCELLED, ENGINE_RUN_FAILED
 */
export async function encodePrompts(
  prompts: readonly string[],
  { network, config, tokenizer }: TextEncoder,
  { learned, signal }: { learned?: Float32Array; signal?: AbortSignal | undefined } = {},
): Promise<Conditioning> {
  const rows = new Rows(tokenizer, config);
  const planned = prompts.map((prompt) => planPrompt(readPrompt(prompt), tokenizer, rows));
  const chunks = Math.max(...planned.map((plan) => plan.chunks));
  const long = planned.map((plan) => padded(plan, chunks, rows));
  await rows.run(network, learned, signal);
  const data = concat(long.map((plan) => plan.encode()));
  return { data, shape: [prompts.length, chunks * tokenizer.length, config.hiddenSize] };
}

/** An encoding that is there once the text encoder has run. */
type Row = () => Float32Array;

/** Part of a mixture. */
type Term = { row: Row; share: number };

/** What is to be computed from rows: chunks one after the other, each [tokens, channels]. */
type Plan = { chunks: number; encode(): Float32Array };

function planPrompt({ combine, parts }: Prompt, tokenizer: ClipTokenizer, rows: Rows): Plan {
  let sum = 0;
  const plans = parts.map(({ fragments }) => {
    const plan = planFragments(fragments, tokenizer, rows);
    sum += plan.chunks;
    if (sum > MAX_CHUNKS) throw tooLong(`more than ${MAX_CHUNKS} times what the text encoder takes`);
    return plan;
  });
  if (combine === "and") {
    const empties = parts.map(({ weight }) => (weight === 1 ? undefined : rows.empty()));
    return {
      chunks: sum,
      encode: () => concat(plans.map((plan, i) => moved(plan.encode(), empties[i], () => parts[i]!.weight))),
    };
  }
  const chunks = Math.max(...plans.map((plan) => plan.chunks));
  const long = plans.map((plan) => padded(plan, chunks, rows));
  const total = parts.reduce((whole, { weight }) => whole + weight, 0);
  // Weights that cancel each other out cannot be made to sum to one.
  const scale = combine === "mean" && total !== 0 ? 1 / total : 1;
  return {
    chunks,
    encode: () => mixed(long.map((plan, i) => ({ row: plan.encode, share: parts[i]!.weight * scale }))),
  };
}

function planFragments(fragments: readonly Fragment[], tokenizer: ClipTokenizer, rows: Rows): Plan {
  const { chunks, ranges } = chunkFragments(fragments, tokenizer, MAX_CHUNKS);
  const hidden = fragments.flatMap(({ weight }, i) => {
    const range = ranges[i];
    if (weight >= 1 || range === undefined) return [];
    return [{ range, share: Math.tan(((1 - Math.max(MIN_HIDING_WEIGHT, weight)) * Math.PI) / 2) }];
  });
  const total = hidden.reduce((sum, { share }) => sum + share, 1);
  const encodings = chunks.map(({ ids, weights }, chunk) => {
    let share = total;
    const mixture: Term[] = [];
    for (const { range, share: hiddenShare } of hidden) {
      const seen = seenWithout(range, chunk, ids.length);
      if (seen === undefined) continue;
      share -= hiddenShare;
      mixture.push({ row: rows.add(ids, seen), share: hiddenShare / total });
    }
    mixture.unshift({ row: rows.add(ids), share: mixture.length === 0 ? 1 : share / total });
    const empty = weights.every((weight) => weight === 1) ? undefined : rows.empty();
    return () => {
      const encoded = mixed(mixture);
      const channels = encoded.length / weights.length;
      return moved(encoded, empty, (i) => weights[Math.floor(i / channels)]!);
    };
  });
  return { chunks: chunks.length, encode: () => concat(encodings.map((encode) => encode())) };
}

/** With encodings of the empty prompt behind it. */
function padded(plan: Plan, chunks: number, rows: Rows): Plan {
  if (plan.chunks === chunks) return plan;
  const empty = rows.empty();
  const missing = chunks - plan.chunks;
  return { chunks, encode: () => concat([plan.encode(), ...Array.from({ length: missing }, empty)]) };
}

function tooLong(reason: string): Error {
  return diffusionError("ARGS_INVALID", { field: "prompt", reason });
}

/**
 * Which tokens of a chunk are seen when a range is hidden; nothing where that is all of them. The first and the last
 * place of a chunk stay: without a start there would be nothing to look at.
 */
function seenWithout({ first, last }: Range, chunk: number, length: number): Float32Array | undefined {
  const begin = Math.max(1, first - chunk * length);
  const end = Math.min(length - 1, last + 1 - chunk * length);
  return begin < end ? new Float32Array(length).fill(1).fill(0, begin, end) : undefined;
}

/** Away from the empty prompt by more than 1, towards it by less; the numbers themselves for exactly 1. */
function moved(encoded: Float32Array, empty: Row | undefined, weightAt: (i: number) => number): Float32Array {
  if (empty === undefined) return encoded;
  const origin = empty();
  return encoded.map((value, i) => {
    const weight = weightAt(i);
    const base = origin[i % origin.length]!;
    return weight === 1 ? value : base + weight * (value - base);
  });
}

function mixed(terms: readonly Term[]): Float32Array {
  const [first, ...others] = terms.map(({ row, share }) => ({ values: row(), share }));
  if (others.length === 0 && first!.share === 1) return first!.values;
  return first!.values.map((value, i) => {
    let sum = value * first!.share;
    for (const { values, share } of others) sum += values[i]! * share;
    return sum;
  });
}

function concat(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** All that the text encoder is to compute for a request, each row once. */
class Rows {
  readonly #tokenizer: ClipTokenizer;
  readonly #config: ClipTextConfig;
  readonly #rows: { ids: readonly number[]; seen: Float32Array; encoded: Float32Array }[] = [];
  readonly #known = new Map<string, Row>();

  constructor(tokenizer: ClipTokenizer, config: ClipTextConfig) {
    this.#tokenizer = tokenizer;
    this.#config = config;
  }

  add(ids: readonly number[], seen: Float32Array = new Float32Array(ids.length).fill(1)): Row {
    const key = `${ids} ${seen.join("")}`;
    let read = this.#known.get(key);
    if (read === undefined) {
      if (this.#rows.length === MAX_ROWS) throw tooLong("too many weights below 1");
      const row = { ids, seen, encoded: new Float32Array() };
      this.#rows.push(row);
      read = () => row.encoded;
      this.#known.set(key, read);
    }
    return read;
  }

  empty(): Row {
    return this.add(chunkFragments([], this.#tokenizer).chunks[0]!.ids);
  }

  async run(network: Network, learned?: Float32Array, signal?: AbortSignal): Promise<void> {
    const rowSize = this.#tokenizer.length * this.#config.hiddenSize;
    for (let first = 0; first < this.#rows.length; first += MAX_BATCH) {
      throwIfCancelled(signal);
      const batch = this.#rows.slice(first, first + MAX_BATCH);
      const ids = batch.flatMap((row) => row.ids);
      const seen = concat(batch.map((row) => row.seen));
      const output = await network.run(clipTextInputs(this.#config, ids, batch.length, seen, learned));
      for (const [i, row] of batch.entries()) row.encoded = output.subarray(i * rowSize, (i + 1) * rowSize);
    }
  }
}
