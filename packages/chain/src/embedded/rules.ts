/** The rules of the chain: hard fork, gas limit, fees. */
import { type Common, createCustomCommon, Hardfork, Mainnet } from "@ethereumjs/common";
import { nativeCrypto } from "./crypto.ts";

/** Fixed: nobody competes for blocks of a chain with one producer, and a stable price keeps clients simple. */
export const BASE_FEE_WEI = 1_000_000_000n;
export const BLOCK_GAS_LIMIT = 60_000_000n;
/** As go-ethereum: a transaction larger than this is refused. */
export const MAX_TX_BYTES = 131_072;

export function createRules(chainId: number): Common {
  const rules = createCustomCommon({ chainId, name: "hydrogen" }, Mainnet, {
    hardfork: Hardfork.Prague,
    customCrypto: nativeCrypto,
  });
  // Every transaction and block would copy the rules and merge the same tables into them again: a tenth of all the time.
  const merged = new Set<object>();
  const merge = rules.updateParams.bind(rules);
  rules.updateParams = (tables) => {
    if (merged.has(tables)) return;
    merged.add(tables);
    merge(tables);
  };
  rules.copy = () => rules;
  return rules;
}
