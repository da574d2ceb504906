/** What a prompt says, before and after its nesting is resolved. */

/** A piece of a prompt as it was written. */
export type PromptNode =
  | { type: "text"; text: string }
  | { type: "weighted"; weight: number; nodes: readonly PromptNode[] }
  | { type: "swap"; original: readonly PromptNode[]; edited: readonly PromptNode[] }
  | Lora;

/** `withLora(name, weight)`: read, and left to whoever loads adapters. */
export type Lora = { type: "lora"; name: string; weight: number };

/**
 * How the parts of a prompt become one conditioning: `and` puts them one behind the other, `mean` and `sum` are a
 * `.blend()` with weights that are made to sum to one and with weights as they are.
 */
export type Combination = "and" | "mean" | "sum";

export type PromptTree = {
  combine: Combination;
  parts: readonly { nodes: readonly PromptNode[]; weight: number }[];
};

/** Text that carries one weight. Words that were written apart are joined by single spaces. */
export type Fragment = { text: string; weight: number };

/** A prompt ready to be encoded. It has at least one part, and a part at least one fragment. */
export type Prompt = {
  combine: Combination;
  parts: readonly { fragments: readonly Fragment[]; weight: number }[];
  loras: readonly Lora[];
};
