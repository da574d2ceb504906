/**
 * CLIP's byte-pair tokenizer, from the `vocab.json` and `merges.txt` of a model. Text is normalised (NFC, white space,
 * lower case), cut into words, each word into UTF-8 bytes written as letters, and neighbouring pieces are merged in
 * the order in which the pairs were learnt.
 */
import { diffusionError } from "./errors.ts";

export type ClipTokenizerFiles = {
  /** Parsed `vocab.json`: an id for every token. */
  vocab: unknown;
  /** Text of `merges.txt`, or a list of pairs. */
  merges: unknown;
  /** `special_tokens_map.json` and `tokenizer_config.json` merged, the latter wins. */
  settings: Readonly<Record<string, unknown>>;
};

export type ClipTokenizer = {
  /** Token ids of a prompt: start, at most `length` − 2 tokens of text, end, padding. */
  encode(text: string): number[];
  /** Token ids of a text of any length, without any around them. It may stop once it has `enough`. */
  tokenize(text: string, enough?: number): number[];
  /** A token as the vocabulary has it, with `</w>` at the end of a word. */
  tokenOf(id: number): string | undefined;
  /** The same tokenizer, where each of these tokens, in any case, stands for a run of ids. */
  withTokens(tokens: ReadonlyMap<string, readonly number[]>): ClipTokenizer;
  readonly length: number;
  readonly start: number;
  readonly end: number;
  readonly pad: number;
};

/** Longer words cost quadratic time and mean nothing to a model. */
const MAX_WORD_BYTES = 4000;
/** Special tokens in lower case are words of their own at first… */
const WORDS = /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;
/** …and are cut like any other afterwards: as tokens they count only where the prompt has them to the letter. */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;

/**
 * @param vocabSize of the text encoder; every id must be below it.
 * @param maxLength the most tokens that the text encoder takes; used where the settings name none or more.
 * @throws MODEL_TOKENIZER_INVALID
 * @see https://github.com/openai/CLIP/blob/main/clip/simple_tokenizer.py
 */
export function createClipTokenizer(
  files: ClipTokenizerFiles,
  vocabSize: number,
  maxLength: number,
): ClipTokenizer {
  const vocab = parseVocab(files.vocab, vocabSize);
  const ranks = parseMerges(files.merges);
  /** Recognised in prompts too, the one for padding included. */
  const special = new Map<string, number>();
  const idOf = (setting: string, fallback: string): number => {
    const token = specialToken(files.settings[setting]) ?? fallback;
    const id = vocab.get(token);
    if (token === "" || id === undefined) throw invalid(`${setting} is not in the vocabulary`);
    special.set(token, id);
    return id;
  };
  const start = idOf("bos_token", "<|startoftext|>");
  const end = idOf("eos_token", "<|endoftext|>");
  const unknown = idOf("unk_token", "<|endoftext|>");
  const pad = idOf("pad_token", "<|endoftext|>");
  const asked = files.settings.model_max_length ?? maxLength;
  if (typeof asked !== "number" || !(asked >= 2)) throw invalid("model_max_length is out of range");
  const length = Math.floor(Math.min(asked, maxLength));

  const specials = anyOf(special.keys());
  const tokenById = new Map([...vocab].map(([token, id]) => [id, token]));
  const cache = new Map<string, number[]>();
  const encodeWord = (word: string): number[] => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const ids = mergePairs(toByteLetters(word), ranks).map((piece) => vocab.get(piece) ?? unknown);
    if (cache.size < 10_000) cache.set(word, ids);
    return ids;
  };

  const build = (added: ReadonlyMap<string, readonly number[]>): ClipTokenizer => {
    const learned = new Map([...added].map(([token, ids]) => [normalise(token), ids]));
    const learnedTokens = learned.size === 0 ? undefined : anyOf(learned.keys());
    const tokenize = (text: string, enough = Number.POSITIVE_INFINITY): number[] => {
      const ids: number[] = [];
      for (const part of text.split(specials)) {
        const id = special.get(part);
        if (id !== undefined) ids.push(id);
        else {
          const normal = normalise(part);
          for (const piece of learnedTokens ? normal.split(learnedTokens) : [normal]) {
            const run = learned.get(piece);
            if (run !== undefined) ids.push(...run);
            else {
              for (const word of wordsOf(piece)) {
                ids.push(...encodeWord(word));
                if (ids.length >= enough) return ids;
              }
            }
          }
        }
        if (ids.length >= enough) return ids;
      }
      return ids;
    };
    return {
      length,
      start,
      end,
      pad,
      tokenize,
      tokenOf: (id) => tokenById.get(id),
      withTokens: (tokens) => build(new Map([...added, ...tokens])),
      encode(text) {
        const ids = [start, ...tokenize(text, length).slice(0, length - 2), end];
        while (ids.length < length) ids.push(pad);
        return ids;
      },
    };
  };
  return build(new Map());
}

/** Keeps what it finds when a text is split by it; of tokens that begin alike it finds the longest. */
function anyOf(tokens: Iterable<string>): RegExp {
  const longestFirst = [...tokens].toSorted((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map(escapePattern).join("|")})`, "u");
}

/** The words of a text that is normalised. */
function wordsOf(text: string): string[] {
  return (text.match(WORDS) ?? []).flatMap((word) => word.match(PIECES) ?? []);
}

/** Lower case letter by letter, as the reference does: no final sigma, no context. */
function normalise(text: string): string {
  let lower = "";
  for (const letter of text.normalize("NFC").replace(/\s+/gu, " ")) lower += letter.toLowerCase();
  return lower;
}

const encoder = new TextEncoder();

/** Bytes as the printable letters that CLIP's vocabulary uses for them; the last is marked as the end of a word. */
function toByteLetters(word: string): string[] {
  const letters = Array.from(encoder.encode(word).subarray(0, MAX_WORD_BYTES), (byte) => BYTE_LETTERS[byte]!);
  letters.push(`${letters.pop()}</w>`);
  return letters;
}

const BYTE_LETTERS: readonly string[] = byteLetters();

function byteLetters(): string[] {
  let spare = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(printable ? byte : spare++);
  });
}

function mergePairs(letters: string[], ranks: ReadonlyMap<string, number>): string[] {
  let pieces = letters;
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < pieces.length; i++) {
      best = Math.min(best, ranks.get(`${pieces[i]} ${pieces[i + 1]}`) ?? best);
    }
    if (best === Number.POSITIVE_INFINITY) return pieces;
    const merged: string[] = [];
    for (let i = 0; i < pieces.length; i++) {
      if (i + 1 < pieces.length && ranks.get(`${pieces[i]} ${pieces[i + 1]}`) === best) {
        merged.push(pieces[i]! + pieces[++i]!);
      } else merged.push(pieces[i]!);
    }
    pieces = merged;
  }
}

function parseVocab(value: unknown, vocabSize: number): Map<string, number> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("vocab.json is not an object");
  const vocab = new Map<string, number>();
  for (const [token, id] of Object.entries(value)) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
      throw invalid("vocab.json has an id out of range");
    vocab.set(token, id);
  }
  return vocab;
}

/** Ranks of the pairs, each as its two halves with a space between. */
function parseMerges(merges: unknown): Map<string, number> {
  const pairs = typeof merges === "string" ? mergeLines(merges) : merges;
  if (!Array.isArray(pairs)) throw invalid("the merges are not a list");
  return new Map(
    pairs.map((pair: unknown, rank) => {
      const halves = typeof pair === "string" ? pair.split(" ") : pair;
      const isPair =
        Array.isArray(halves) && halves.length === 2 && halves.every((half) => typeof half === "string");
      if (!isPair) throw invalid("a merge is not a pair");
      return [halves.join(" "), rank];
    }),
  );
}

function mergeLines(text: string): string[] {
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  return lines[0]?.startsWith("#version") ? lines.slice(1) : lines;
}

function specialToken(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

function invalid(reason: string) {
  return diffusionError("MODEL_TOKENIZER_INVALID", { reason });
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
