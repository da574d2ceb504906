import { flattenPrompt } from "./flatten.ts";
import { parsePrompt } from "./parse.ts";
import type { Prompt } from "./syntax.ts";

/** What a prompt says. Every text says something. */
export function readPrompt(text: string): Prompt {
  return flattenPrompt(parsePrompt(text));
}
