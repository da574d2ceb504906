/** What to offer for a transaction, and how much more for its replacement. */
import type { Clock } from "@hydrogen/std";
import type { EvmRpc, Head } from "./rpc.ts";

export type Fees = { readonly maxFeeWei: bigint; readonly tipWei: bigint };

export type FeeQuoter = (head: Head) => Promise<Fees>;

const tipLifetimeMs = 10_000;
const defaultTipWei = 1_000_000_000n;

/**
 * Twice the base fee plus the tip the RPC suggests: enough for six full blocks of rising base fee.
 * On a chain without EIP-1559 both are the gas price.
 */
export function createFeeQuoter(rpc: EvmRpc, clock: Clock): FeeQuoter {
  let known: { wei: bigint; atMs: number } | undefined;
  const suggested = async (method: "eth_maxPriorityFeePerGas" | "eth_gasPrice") => {
    if (known === undefined || clock.nowMs() - known.atMs > tipLifetimeMs) {
      const wei = await rpc.request({ method }).then(BigInt, (error) => {
        if (error?.code === "CHAIN_RPC_ERROR") return defaultTipWei; // the method is optional
        throw error;
      });
      known = { wei, atMs: clock.nowMs() };
    }
    return known.wei;
  };
  return async ({ baseFeeWei }) => {
    if (baseFeeWei === undefined) {
      const priceWei = await suggested("eth_gasPrice");
      return { maxFeeWei: priceWei, tipWei: priceWei };
    }
    const tipWei = await suggested("eth_maxPriorityFeePerGas");
    return { maxFeeWei: 2n * baseFeeWei + tipWei, tipWei };
  };
}

/** At least an eighth more than before, as nodes ask of a replacement, and at least what is quoted now. */
export function raiseFees(before: Fees, quoted: Fees): Fees {
  return {
    maxFeeWei: larger(before.maxFeeWei + before.maxFeeWei / 8n + 1n, quoted.maxFeeWei),
    tipWei: larger(before.tipWei + before.tipWei / 8n + 1n, quoted.tipWei),
  };
}

/** The tip never exceeds the whole fee. */
export function capFees(fees: Fees, capWei: bigint | undefined): Fees {
  if (capWei === undefined || fees.maxFeeWei <= capWei) return fees;
  return { maxFeeWei: capWei, tipWei: smaller(fees.tipWei, capWei) };
}

function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

function smaller(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}
