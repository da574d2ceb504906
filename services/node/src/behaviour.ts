/** What a node does with its own work. There is one honest way; test networks know others (testing/behaviours.ts). */
import type { Hex } from "@hydrogen/std";
import type { Action } from "./next-action.ts";

export type Produced = { readonly result: Hex; readonly files: readonly Uint8Array[] };

export type Behaviour = {
  /** Whether an action that is due is carried out. */
  permits(kind: Action["kind"]): boolean;
  /** What is committed to, given what the engine made. */
  present(produced: Produced): Produced;
};

export const honest: Behaviour = { permits: () => true, present: (produced) => produced };
