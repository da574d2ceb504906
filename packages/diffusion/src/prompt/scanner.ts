/** The smallest pieces of the prompt grammar: each function takes a place in the text and returns where it ends. */

const SPACES = " \n\t\r";
const OPERATORS = '()",.+-=';
/** Characters that no bare word goes through. */
const WORD_ENDS = new Set(`${SPACES}\v\f${OPERATORS}`);
const AFTER_OPERATOR = new Set(`${SPACES}${OPERATORS}`);

/** Larger weights are no picture any more, only infinities. */
const MAX_WEIGHT = 1e6;

export function isSpace(character: string | undefined): boolean {
  return character !== undefined && SPACES.includes(character);
}

export function skipSpaces(text: string, at: number): number {
  let end = at;
  while (isSpace(text[end])) end++;
  return end;
}

/**
 * A word free of syntax. Escaped characters belong to it, and so do plus and minus where more of the word follows.
 * Nothing, if it ends where it begins.
 */
export function wordEnd(text: string, at: number): number {
  let end = at;
  for (; end < text.length; end++) {
    const character = text[end]!;
    const next = text[end + 1];
    if (character === "\\" && next !== undefined && OPERATORS.includes(next)) end++;
    else if (character === "+" || character === "-") {
      if (next === undefined || AFTER_OPERATOR.has(next)) break;
    } else if (WORD_ENDS.has(character)) break;
  }
  return end;
}

/** Everything up to the next white space. */
export function freeWordEnd(text: string, at: number): number {
  let end = at;
  while (end < text.length && !/[ \n\t\r\v\f]/.test(text[end]!)) end++;
  return end;
}

/** A run of one character, such as `+++`. */
export function runEnd(text: string, at: number, character: string): number {
  let end = at;
  while (text[end] === character) end++;
  return end;
}

/** A decimal number and where it ends. */
export function scanNumber(text: string, at: number): { value: number; end: number } | undefined {
  const found = match(/[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)|-?[0-9]+/y, text, at);
  return found === undefined ? undefined : { value: limitWeight(Number(found)), end: at + found.length };
}

/** A name of an option or an adapter. */
export function scanKeyword(text: string, at: number): string | undefined {
  return match(/[A-Za-z0-9_-]+/y, text, at);
}

/**
 * Text in double quotes on one line, with `\"` for a quotation mark. If the last quotation mark of all is an escaped
 * one, it closes the text after all.
 */
export function scanQuoted(text: string, at: number): { content: string; end: number } | undefined {
  if (text[at] !== '"') return undefined;
  let escaped: number | undefined;
  for (let i = at + 1; i < text.length; i++) {
    const character = text[i];
    if (character === '"') return { content: unquote(text.slice(at + 1, i)), end: i + 1 };
    if (character === "\n" || character === "\r") break;
    if (character === "\\" && text[i + 1] === '"') escaped = ++i;
  }
  if (escaped === undefined) return undefined;
  return { content: unquote(text.slice(at + 1, escaped)), end: escaped + 1 };
}

/** Only these escapes are undone, whatever the number of backslashes; others stay as they are written. */
export function unescapeWord(word: string): string {
  return word.replace(/\\+([()"])/g, "$1");
}

export function limitWeight(weight: number): number {
  return Math.max(-MAX_WEIGHT, Math.min(MAX_WEIGHT, weight));
}

const WHITE_ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", f: "\f", r: "\r" };

/** Quoted text may name white space. */
function unquote(content: string): string {
  return content.replace(/\\([tnfr])/g, (_, name: string) => WHITE_ESCAPES[name]!).replaceAll('\\"', '"');
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
