import { limitWeight } from "./scanner.ts";
import type { Fragment, Lora, Prompt, PromptNode, PromptTree } from "./syntax.ts";

/** Multiplies the weights of nested groups out, and joins neighbours of the same weight. Parts without text go. */
export function flattenPrompt({ combine, parts }: PromptTree): Prompt {
  const loras: Lora[] = [];
  const flat = parts.map(({ nodes, weight }) => ({ fragments: flattenNodes(nodes, loras), weight }));
  const filled = flat.filter(({ fragments }) => fragments.length > 0);
  if (filled.length > 0) return { combine, parts: filled, loras };
  return { combine, parts: [{ fragments: [{ text: "", weight: 1 }], weight: 1 }], loras };
}

function flattenNodes(nodes: readonly PromptNode[], loras: Lora[]): Fragment[] {
  const fragments: Fragment[] = [];
  /** Whether the last fragment may still grow: what a swap replaces stays by itself. */
  let open = false;
  const add = (node: PromptNode, scale: number): void => {
    if (node.type === "lora") loras.push(node);
    else if (node.type === "weighted") {
      for (const child of node.nodes) add(child, limitWeight(scale * node.weight));
    } else if (node.type === "swap") {
      open = false;
      const before = fragments.length;
      for (const child of node.original) add(child, scale);
      if (fragments.length === before) fragments.push({ text: "", weight: scale });
      open = false;
      for (const child of node.edited) collectLoras(child, loras);
    } else {
      const last = fragments.at(-1);
      if (open && last?.weight === scale) last.text += ` ${node.text}`;
      else fragments.push({ text: node.text, weight: scale });
      open = true;
    }
  };
  for (const node of nodes) add(node, 1);
  return fragments;
}

function collectLoras(node: PromptNode, loras: Lora[]): void {
  if (node.type === "lora") loras.push(node);
  else if (node.type === "weighted") for (const child of node.nodes) collectLoras(child, loras);
  else if (node.type === "swap") {
    for (const child of [...node.original, ...node.edited]) collectLoras(child, loras);
  }
}
