/** Tries a call before it costs anything. */
import { type Address, numberToHex } from "viem";
import { type Call, ethCall } from "./calls.ts";
import { chainError } from "./errors.ts";
import { revertError } from "./revert.ts";
import type { EvmRpc } from "./rpc.ts";
import { revertDataOf } from "./rpc-errors.ts";

/**
 * The gas limit to send the call with: the estimate and something to spare, because other transactions may come first.
 *
 * @throws TRANSACTION_REVERTED if the call would revert now, INSUFFICIENT_FUNDS; as `EvmRpc.request`
 */
export async function preflight(rpc: EvmRpc, from: Address, call: Call, spareGas?: bigint): Promise<bigint> {
  const { to, data, valueWei, name, abi } = call;
  const params = { from, data, ...(to && { to }), ...(valueWei > 0n && { value: numberToHex(valueWei) }) };
  try {
    const estimate = BigInt(await rpc.request({ method: "eth_estimateGas", params: [params] }));
    return estimate + (spareGas ?? estimate / 4n);
  } catch (error) {
    const reverted = revertDataOf(error);
    if (reverted !== undefined && reverted !== "0x")
      throw revertError(reverted, abi, { function: name }, error);
    await ethCall(rpc, { ...call, from }); // some RPCs say why only here
    const balanceWei = BigInt(await rpc.request({ method: "eth_getBalance", params: [from, "latest"] }));
    if (balanceWei < valueWei)
      throw chainError("INSUFFICIENT_FUNDS", { address: from, balanceWei, needWei: valueWei });
    throw error;
  }
}
