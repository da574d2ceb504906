/** How much gas a transaction has to carry. */
import { bigIntMax } from "@ethereumjs/util";
import type { BlockRecord } from "./block-store.ts";
import type { Chain } from "./chain.ts";
import { hexKey } from "./format.ts";
import { serverError } from "./rpc-error.ts";
import {
  assertSucceeded,
  type CallRequest,
  gasCap,
  type Simulator,
  type StateOverride,
} from "./simulation.ts";

/** A call that forwards 63/64 of its gas (EIP-150) or carries a stipend may need more than it uses. */
const STIPEND_GAS = 2_300n;

/**
 * Runs it once with all gas allowed, then with what it used and a margin. Only if that fails (a contract that reads its gas, deep
 * calls) is the amount searched by halving.
 *
 * @throws RpcError with the revert data if it fails with any amount
 */
export async function estimateGas(
  chain: Chain,
  simulator: Simulator,
  request: CallRequest,
  at: BlockRecord | "next",
  overrides: readonly StateOverride[],
): Promise<bigint> {
  const ceiling = affordableGas(chain, request, at, overrides);
  const first = await simulator.run(request, at, ceiling, overrides);
  if (first.failure === "out of gas" && ceiling < gasCap(request)) {
    throw serverError(`gas required exceeds allowance (${ceiling})`);
  }
  assertSucceeded(first);
  const isEnough = async (gas: bigint): Promise<boolean> => {
    try {
      return (await simulator.run(request, at, gas, overrides)).failure === undefined;
    } catch {
      return false;
    }
  };
  const needed = bigIntMax(first.gasNeeded, first.gasUsed);
  const likely = ((needed + STIPEND_GAS) * 64n) / 63n;
  if (likely >= ceiling) return ceiling;
  if (await isEnough(likely)) return likely;
  let tooLittle = likely;
  let enough = ceiling;
  while (enough - tooLittle > enough / 64n) {
    // Most contracts need little more than they used, so the search leans to the low side.
    const middle = (tooLittle + enough) / 2n;
    const guess = middle > tooLittle * 2n ? tooLittle * 2n : middle;
    if (await isEnough(guess)) enough = guess;
    else tooLittle = guess;
  }
  return enough;
}

function affordableGas(
  chain: Chain,
  request: CallRequest,
  at: BlockRecord | "next",
  overrides: readonly StateOverride[],
): bigint {
  const cap = gasCap(request);
  if (request.maxFeeWei === 0n) return cap;
  const senderKey = hexKey(request.from);
  const view = at === "next" ? chain.latest : chain.states.viewAt(at.number);
  const balanceWei =
    overrides.find(({ address }) => hexKey(address) === senderKey)?.balanceWei ??
    view.account(senderKey)?.balanceWei ??
    0n;
  if (balanceWei < request.valueWei) throw serverError("insufficient funds for transfer");
  const affordable = (balanceWei - request.valueWei) / request.maxFeeWei;
  return affordable < cap ? affordable : cap;
}
