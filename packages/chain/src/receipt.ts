/** What the chain says of a mined transaction. */
import type { Address, Hex } from "viem";
import type { RawLog } from "./events.ts";
import type { EvmRpc } from "./rpc.ts";

export type Receipt = {
  readonly transactionHash: Hex;
  readonly status: "success" | "reverted";
  readonly blockNumber: bigint;
  readonly blockHash: Hex;
  readonly gasUsed: bigint;
  readonly effectiveGasPriceWei: bigint;
  /** Of a deployment. */
  readonly contractAddress: Address | null;
  readonly logs: readonly RawLog[];
};

/** undefined while the transaction is in no block. @throws as `EvmRpc.request` */
export async function getReceipt(rpc: EvmRpc, hash: Hex): Promise<Receipt | undefined> {
  const receipt = await rpc.request({ method: "eth_getTransactionReceipt", params: [hash] });
  if (receipt === null) return undefined;
  return {
    transactionHash: receipt.transactionHash,
    status: Number(receipt.status) === 1 ? "success" : "reverted",
    blockNumber: BigInt(receipt.blockNumber),
    blockHash: receipt.blockHash,
    gasUsed: BigInt(receipt.gasUsed),
    effectiveGasPriceWei: BigInt(receipt.effectiveGasPrice ?? "0x0"),
    contractAddress: receipt.contractAddress ?? null,
    logs: receipt.logs.map((log) => ({
      address: log.address,
      topics: log.topics,
      data: log.data,
      blockNumber: BigInt(receipt.blockNumber),
      blockHash: receipt.blockHash,
      transactionHash: receipt.transactionHash,
      logIndex: Number(log.logIndex),
    })),
  };
}
