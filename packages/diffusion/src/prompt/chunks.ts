/** Cuts the tokens of a prompt into pieces that the text encoder takes, at the best places. */
import type { ClipTokenizer } from "../tokenizer.ts";
import type { Fragment } from "./syntax.ts";

/** As many tokens as the text encoder takes: start, text, end, padding. */
export type Chunk = { ids: number[]; weights: number[] };

/** Places in all chunks, one after the other: from the first token of a fragment up to and with its last. */
export type Range = { first: number; last: number };

export type Chunked = {
  chunks: Chunk[];
  /** Where each fragment ended up; nothing for one without tokens. */
  ranges: (Range | undefined)[];
};

const SENTENCE_ENDS = new Set([".</w>"]);
const PHRASE_ENDS = new Set([".</w>", ",</w>", ";</w>", ":</w>"]);

/**
 * A prompt of no tokens is one chunk. Start, end and padding weigh 1.
 *
 * @param most chunks that matter: a longer prompt gives more, but not all of them.
 */
export function chunkFragments(
  fragments: readonly Fragment[],
  tokenizer: ClipTokenizer,
  most = Number.POSITIVE_INFINITY,
): Chunked {
  const { start, end, pad, length } = tokenizer;
  const tokens: { id: number; weight: number; fragment: number }[] = [];
  for (const [fragment, { text, weight }] of fragments.entries()) {
    const room = most * (length - 2) + 1 - tokens.length;
    if (room <= 0) break;
    for (const id of tokenizer.tokenize(text, room))
      tokens.push({ id, weight: Math.fround(weight), fragment });
  }
  const chunks: Chunk[] = [];
  const ranges: (Range | undefined)[] = fragments.map(() => undefined);
  let next = 0;
  do {
    const rest = tokens.slice(next, next + length - 1);
    const taken = rest.slice(0, splitPoint(rest, length - 2, tokenizer));
    for (const [i, { fragment }] of taken.entries()) {
      const last = chunks.length * length + 1 + i;
      ranges[fragment] = { first: ranges[fragment]?.first ?? last, last };
    }
    const padding = length - 2 - taken.length;
    chunks.push({
      ids: [start, ...taken.map(({ id }) => id), end, ...new Array<number>(padding).fill(pad)],
      weights: [1, ...taken.map(({ weight }) => weight), 1, ...new Array<number>(padding).fill(1)],
    });
    next += taken.length;
  } while (next < tokens.length);
  return { chunks, ranges };
}

/** Behind the last end of a sentence that fits, or of a phrase, or of a word, or wherever it is full. */
function splitPoint(tokens: readonly { id: number }[], room: number, { tokenOf }: ClipTokenizer): number {
  if (tokens.length <= room) return tokens.length;
  const texts = tokens.slice(0, room).map(({ id }) => tokenOf(id) ?? "");
  const ends = [
    (text: string) => SENTENCE_ENDS.has(text),
    (text: string) => PHRASE_ENDS.has(text),
    (text: string) => text.endsWith("</w>"),
  ];
  for (const isEnd of ends) {
    const last = texts.findLastIndex(isEnd);
    if (last >= 0) return last + 1;
  }
  return room;
}
