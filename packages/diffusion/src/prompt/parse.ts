/**
 * The prompt language of Compel 2.4: `word++`, `(several words)1.3`, `"quoted"-`, nesting, `.attend()`, `.swap()`,
 * `withLora()`, and for whole prompts `.blend()` and `.and()`. It is an ordered-choice grammar: the first rule that
 * matches wins, and what matches no rule is a word like any other, so every text is a prompt. Rules that can be tried
 * twice at one place remember what they found, which keeps the time proportional to the length.
 */
import {
  freeWordEnd,
  isSpace,
  limitWeight,
  runEnd,
  scanKeyword,
  scanNumber,
  scanQuoted,
  skipSpaces,
  unescapeWord,
  wordEnd,
} from "./scanner.ts";
import type { PromptNode, PromptTree } from "./syntax.ts";

/** Groups in groups beyond this are words. */
const MAX_DEPTH = 64;
const PLUS_BASE = 1.1;
const MINUS_BASE = 0.9;

/** @see https://github.com/damian0815/compel */
export function parsePrompt(text: string): PromptTree {
  const spaced = text.replace(/[\v\f]/g, " ").replace(/,(\P{White_Space})/gu, ", $1");
  const grammar = new Grammar(spaced, 0);
  const ordinary = () => ({
    combine: "and" as const,
    parts: [{ nodes: grammar.prompt(0).nodes, weight: 1 }],
  });
  return grammar.conjunction() ?? grammar.blend() ?? ordinary();
}

type Match = { nodes: readonly PromptNode[]; end: number };
type Rule = "parentheses" | "quotes" | "swap";
type Option = { value: number | string; end: number };

class Grammar {
  readonly #text: string;
  readonly #found: Record<Rule, Map<number, Match | undefined>> = {
    parentheses: new Map(),
    quotes: new Map(),
    swap: new Map(),
  };
  #depth: number;

  constructor(text: string, depth: number) {
    this.#text = text;
    this.#depth = depth;
  }

  /** `("…", "…").and(1, 0.5)`. What follows it is dropped. */
  conjunction(): PromptTree | undefined {
    const targets = this.#targets(0);
    const operator = targets && this.#operator(targets.end, [".and", ".add"]);
    const weights = operator && weightsOf(operator.options, targets.parts.length);
    if (!weights) return undefined;
    return { combine: "and", parts: targets.parts.map((nodes, i) => ({ nodes, weight: weights[i]! })) };
  }

  /** `("…", "…").blend(1, 0.5)` as the whole text, but for adapters around it. Every part has to say something. */
  blend(): PromptTree | undefined {
    const before = this.#loras(0);
    const targets = this.#targets(before.end);
    const operator = targets && this.#operator(targets.end, [".blend"]);
    if (!operator || targets.parts.some((nodes) => !isBlendable(nodes))) return undefined;
    const after = this.#loras(operator.end);
    if (skipSpaces(this.#text, after.end) < this.#text.length) return undefined;
    const asTheyAre = operator.options.at(-1) === "no_normalize";
    const options = asTheyAre ? operator.options.slice(0, -1) : operator.options;
    const weights = weightsOf(options, targets.parts.length);
    if (!weights) return undefined;
    const [first, ...others] = targets.parts.map((nodes, i) => ({ nodes, weight: weights[i]! }));
    const withLoras = { nodes: [...before.nodes, ...first!.nodes, ...after.nodes], weight: first!.weight };
    return { combine: asTheyAre ? "sum" : "mean", parts: [withLoras, ...others] };
  }

  /** Anything at all. */
  prompt(at: number): Match {
    return this.#repeat(at, (place) => {
      const match =
        this.#swap(place) ??
        this.#lora(place) ??
        this.#attention(place) ??
        this.#quotes(place) ??
        this.#parentheses(place);
      if (match) return match;
      const start = skipSpaces(this.#text, place);
      const end = freeWordEnd(this.#text, start);
      if (end === start) return end > place ? { nodes: [], end } : undefined;
      return { nodes: [this.#textNode(start, end)], end };
    });
  }

  /** What may stand in a group, all of it; nothing if that does not reach the end. */
  phrase(): readonly PromptNode[] | undefined {
    const { nodes, end } = this.#phrase(0, ",.");
    return skipSpaces(this.#text, end) === this.#text.length ? nodes : undefined;
  }

  #phrase(at: number, punctuation: string): Match {
    return this.#repeat(at, (place) => {
      const match = this.#lora(place) ?? this.#attention(place) ?? this.#swap(place) ?? this.#target(place);
      if (match) return match;
      const start = skipSpaces(this.#text, place);
      const character = this.#text[start];
      if (character === undefined || !punctuation.includes(character)) return undefined;
      return { nodes: [this.#textNode(start, start + 1)], end: start + 1 };
    });
  }

  #repeat(at: number, rule: (place: number) => Match | undefined): Match {
    const nodes: PromptNode[] = [];
    let end = at;
    for (let match = rule(end); match !== undefined; match = rule(end)) {
      for (const node of match.nodes) nodes.push(node);
      end = match.end;
    }
    return { nodes, end };
  }

  /** What an operator can be applied to. */
  #target(at: number): Match | undefined {
    return this.#quotes(at) ?? this.#parentheses(at) ?? this.#word(at);
  }

  #word(at: number): Match | undefined {
    const start = skipSpaces(this.#text, at);
    const end = wordEnd(this.#text, start);
    return end === start ? undefined : { nodes: [this.#textNode(start, end)], end };
  }

  #parentheses(at: number): Match | undefined {
    return this.#group("parentheses", at, (start) => {
      const open = this.#literal(start, "(");
      if (open === undefined) return undefined;
      const { nodes, end } = this.#phrase(open, ",.");
      const close = this.#literal(end, ")");
      return close === undefined ? undefined : { nodes, end: close };
    });
  }

  #quotes(at: number): Match | undefined {
    return this.#group("quotes", at, (start) => this.#quoted(start, (inner) => inner.phrase()));
  }

  #quoted(at: number, read: (inner: Grammar) => readonly PromptNode[] | undefined): Match | undefined {
    const quoted = scanQuoted(this.#text, skipSpaces(this.#text, at));
    if (quoted === undefined) return undefined;
    const { content, end } = quoted;
    if (content.trim() === "") return { nodes: [{ type: "text", text: "" }], end };
    const nodes = read(new Grammar(content.replaceAll('"', '\\"'), this.#depth));
    return nodes && { nodes, end };
  }

  /** `target.attend(operator)`, `word++` without white space between, or a group also with a number behind it. */
  #attention(at: number): Match | undefined {
    const group = this.#quotes(at) ?? this.#parentheses(at);
    const target = group ?? this.#word(at);
    if (target === undefined) return undefined;
    const { nodes, end } = target;
    const weighted = (weight: number, after: number): Match => ({
      nodes: [{ type: "weighted", weight: limitWeight(weight), nodes }],
      end: after,
    });
    const open = this.#literals(end, ".attend", "(");
    const inside = open === undefined ? undefined : this.#weight(open, true);
    const close = inside && this.#literal(inside.end, ")");
    if (inside && close !== undefined) return weighted(inside.value, close);
    if (isSpace(this.#text[end])) return undefined;
    const behind = this.#weight(end, group !== undefined);
    return behind && weighted(behind.value, behind.end);
  }

  #weight(at: number, numbers: boolean): { value: number; end: number } | undefined {
    const start = skipSpaces(this.#text, at);
    for (const [sign, base] of [
      ["+", PLUS_BASE],
      ["-", MINUS_BASE],
    ] as const) {
      const end = runEnd(this.#text, start, sign);
      if (end > start) return { value: base ** (end - start), end };
    }
    return numbers ? scanNumber(this.#text, start) : undefined;
  }

  #swap(at: number): Match | undefined {
    return this.#group("swap", at, (start) => {
      const target = this.#target(start);
      const open = target && this.#literals(target.end, ".swap", "(");
      if (open === undefined) return undefined;
      const edited = this.#phrase(open, "");
      const comma = this.#literal(edited.end, ",");
      const options = comma === undefined ? undefined : this.#options(comma);
      const end = this.#literal(options?.end ?? edited.end, ")");
      if (end === undefined) return undefined;
      return { nodes: [{ type: "swap", original: target!.nodes, edited: edited.nodes }], end };
    });
  }

  #lora(at: number): Match | undefined {
    const open = this.#literals(at, "useLora", "(") ?? this.#literals(at, "withLora", "(");
    if (open === undefined) return undefined;
    const start = skipSpaces(this.#text, open);
    const name = scanKeyword(this.#text, start);
    if (name === undefined) return undefined;
    const comma = this.#literal(start + name.length, ",");
    const weight = comma === undefined ? undefined : scanNumber(this.#text, skipSpaces(this.#text, comma));
    const end = this.#literal(weight?.end ?? start + name.length, ")");
    return end === undefined
      ? undefined
      : { nodes: [{ type: "lora", name, weight: weight?.value ?? 1 }], end };
  }

  #loras(at: number): Match {
    return this.#repeat(at, (place) => this.#lora(place));
  }

  /** `("…", "…", …)`: whole prompts that are to be combined. */
  #targets(at: number): { parts: (readonly PromptNode[])[]; end: number } | undefined {
    const parts: (readonly PromptNode[])[] = [];
    let place = this.#literal(at, "(");
    while (place !== undefined) {
      const part =
        this.#target(place) ??
        this.#quoted(place, (inner) => {
          const { nodes, end } = inner.prompt(0);
          return end === inner.#text.length ? nodes : undefined;
        });
      if (part === undefined) return undefined;
      parts.push(part.nodes);
      const close = this.#literal(part.end, ")");
      if (close !== undefined) return { parts, end: close };
      place = this.#literal(part.end, ",");
    }
    return undefined;
  }

  #operator(at: number, names: readonly string[]): { options: (number | string)[]; end: number } | undefined {
    for (const name of names) {
      const open = this.#literals(at, name, "(");
      if (open === undefined) continue;
      const { options, end } = this.#options(open);
      const close = this.#literal(end, ")");
      if (close !== undefined) return { options, end: close };
    }
    return undefined;
  }

  #options(at: number): { options: (number | string)[]; end: number } {
    const options: (number | string)[] = [];
    let end = at;
    for (let next = this.#option(at); next !== undefined; ) {
      options.push(next.value);
      end = next.end;
      const comma = this.#literal(end, ",");
      next = comma === undefined ? undefined : this.#option(comma);
    }
    return { options, end };
  }

  /** A number, a flag, or a setting, of which only what is before the equals sign matters. */
  #option(at: number): Option | undefined {
    const start = skipSpaces(this.#text, at);
    const keyword = scanKeyword(this.#text, start);
    const equals = keyword === undefined ? undefined : this.#literal(start + keyword.length, "=");
    if (keyword !== undefined && equals !== undefined) {
      const valueAt = skipSpaces(this.#text, equals);
      const number = scanNumber(this.#text, valueAt);
      const word = scanKeyword(this.#text, valueAt);
      const end = number?.end ?? (word === undefined ? undefined : valueAt + word.length);
      if (end !== undefined) return { value: /^-?[0-9]+$/.test(keyword) ? Number(keyword) : keyword, end };
    }
    const number = scanNumber(this.#text, start);
    if (number) return number;
    return keyword === undefined ? undefined : { value: keyword, end: start + keyword.length };
  }

  /** Tries a rule once at each place, and not too deep in itself. */
  #group(rule: Rule, at: number, read: (start: number) => Match | undefined): Match | undefined {
    const start = skipSpaces(this.#text, at);
    const found = this.#found[rule];
    if (found.has(start)) return found.get(start);
    if (this.#depth >= MAX_DEPTH) return undefined;
    this.#depth++;
    const match = read(start);
    this.#depth--;
    found.set(start, match);
    return match;
  }

  #literal(at: number, literal: string): number | undefined {
    const start = skipSpaces(this.#text, at);
    return this.#text.startsWith(literal, start) ? start + literal.length : undefined;
  }

  #literals(at: number, ...literals: readonly string[]): number | undefined {
    let end: number | undefined = at;
    for (const literal of literals) if (end !== undefined) end = this.#literal(end, literal);
    return end;
  }

  #textNode(start: number, end: number): PromptNode {
    return { type: "text", text: unescapeWord(this.#text.slice(start, end)) };
  }
}

/** Nothing, if they are not numbers or not as many as the parts. */
function weightsOf(options: readonly (number | string)[], parts: number): number[] | undefined {
  if (options.length === 0) return new Array<number>(parts).fill(1);
  const weights = options.filter((option) => typeof option === "number");
  return weights.length === options.length && weights.length === parts ? weights : undefined;
}

/** Whether there is text in it, which is not swapped. */
function isBlendable(nodes: readonly PromptNode[]): boolean {
  const hasText = (node: PromptNode): boolean =>
    node.type === "text" || node.type === "swap" || (node.type === "weighted" && node.nodes.some(hasText));
  return nodes.some(hasText) && !nodes.some(({ type }) => type === "swap");
}
