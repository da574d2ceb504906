/** The contracts' interfaces under the names the address book has for them; docs/protocol.md §3. */
import { crynuxTokenAbi, nodeAbi, taskAbi } from "@hydrogen/contracts";
import type { Abi } from "viem";

export const tokenAbi = crynuxTokenAbi;
export { nodeAbi, taskAbi };

export type TokenAbi = typeof tokenAbi;
export type NodeAbi = typeof nodeAbi;
export type TaskAbi = typeof taskAbi;

/** The custom errors of all three: a call into one may revert with another's. */
export const contractErrors: Abi = ([...tokenAbi, ...nodeAbi, ...taskAbi] as Abi).filter(
  ({ type }) => type === "error",
);
