/** Where a tokenizer's tables come from: a model's own files, or CLIP's published ones, which come with the engine. */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { ClipTextConfig } from "../graphs/clip-text.ts";
import { type ClipTokenizer, createClipTokenizer } from "../tokenizer.ts";
import type { ModelFiles } from "./files.ts";

/**
 * Reads `vocab.json` and `merges.txt`, or the `tokenizer.json` that transformers writes since version 5.
 *
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_TOKENIZER_INVALID
 */
export async function readTokenizer(
  files: ModelFiles,
  { vocabSize, maxPositions }: ClipTextConfig,
): Promise<ClipTokenizer> {
  const listed = await files.list("tokenizer");
  const optionalJson = async (name: string) => (listed.includes(name) ? files.json(`tokenizer/${name}`) : {});
  const settings = {
    ...(await optionalJson("special_tokens_map.json")),
    ...(await optionalJson("tokenizer_config.json")),
  };
  if (!listed.includes("vocab.json") && listed.includes("tokenizer.json")) {
    const { model } = (await files.json("tokenizer/tokenizer.json")) as {
      model?: { vocab?: unknown; merges?: unknown };
    };
    const tables = { vocab: model?.vocab, merges: model?.merges, settings };
    return createClipTokenizer(tables, vocabSize, maxPositions);
  }
  const vocab = await files.json("tokenizer/vocab.json");
  const merges = await files.text("tokenizer/merges.txt");
  return createClipTokenizer({ vocab, merges, settings }, vocabSize, maxPositions);
}

/**
 * The tokenizer that all published SD 1.x and SD 2.x models have.
 *
 * @param padToken What prompts are filled up with.
 * @throws MODEL_TOKENIZER_INVALID if the text encoder has fewer tokens than that.
 */
export async function builtInTokenizer(
  { vocabSize, maxPositions }: ClipTextConfig,
  padToken: string,
): Promise<ClipTokenizer> {
  const packed = await readFile(new URL("../../assets/clip-merges.txt.gz", import.meta.url));
  const merges = (await promisify(gunzip)(packed)).toString("utf8");
  const pairs = merges.split("\n").slice(1, -1);
  const letters = byteLetters();
  const tokens = [
    ...letters,
    ...letters.map((letter) => `${letter}</w>`),
    ...pairs.map((pair) => pair.replace(" ", "")),
    "<|startoftext|>",
    "<|endoftext|>",
  ];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return createClipTokenizer({ vocab, merges, settings: { pad_token: padToken } }, vocabSize, maxPositions);
}

/** The characters that stand for bytes: printable ones for themselves, then as many from 256 up as there are others. */
function byteLetters(): string[] {
  const codes = Array.from({ length: 256 + 68 }, (_, code) => code);
  const stands = (code: number) => (code > 32 && code < 127) || (code > 160 && code !== 173);
  return codes.filter(stands).map((code) => String.fromCharCode(code));
}
