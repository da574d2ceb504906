/** One EVM over one overlay of state. Building an EVM is dear, so a host is reused: one execution at a time. */
import type { Common } from "@ethereumjs/common";
import { createVM, type VM } from "@ethereumjs/vm";
import type { BlockStore } from "./block-store.ts";
import { OverlayState } from "./state-manager.ts";
import type { StateView } from "./state-store.ts";

export type EvmHost = { readonly vm: VM; readonly state: OverlayState };

export async function createEvmHost(rules: Common, view: StateView, blocks: BlockStore): Promise<EvmHost> {
  const state = new OverlayState(view);
  const vm = await createVM({
    common: rules,
    stateManager: state,
    blockchain: hashesOf(blocks),
  });
  return { vm, state };
}

type Blockchain = NonNullable<NonNullable<Parameters<typeof createVM>[0]>["blockchain"]>;

/** What BLOCKHASH reads. The EVM itself limits it to the 256 blocks before the current one. */
function hashesOf(blocks: BlockStore): Blockchain {
  const blockchain: Blockchain = {
    getBlock: async (number) => {
      const hash = blocks.hashOf(Number(number));
      if (hash === undefined) throw new RangeError(`there is no block ${number}`);
      return { hash: () => hash } as Awaited<ReturnType<Blockchain["getBlock"]>>;
    },
    putBlock: async () => {},
    shallowCopy: () => blockchain,
  };
  return blockchain;
}
