import { isAccessList2930Tx, isFeeMarket1559Tx, isLegacyTx, type TypedTransaction } from "@ethereumjs/tx";
import { dataHex, quantity } from "./format.ts";

export type Inclusion = {
  readonly blockHash: Uint8Array;
  readonly blockNumber: number;
  readonly position: number;
  readonly baseFeeWei: bigint;
};

/** What the sender pays per gas (EIP-1559). */
export function effectiveGasPriceWei(tx: TypedTransaction, baseFeeWei: bigint): bigint {
  return baseFeeWei + effectiveTipWei(tx, baseFeeWei);
}

/** What the producer earns per gas; negative if the transaction cannot pay the base fee. */
export function effectiveTipWei(tx: TypedTransaction, baseFeeWei: bigint): bigint {
  if (!isFeeMarket1559Tx(tx)) return maxFeeWei(tx) - baseFeeWei;
  const room = tx.maxFeePerGas - baseFeeWei;
  if (room < tx.maxPriorityFeePerGas) return room;
  return tx.maxPriorityFeePerGas;
}

/** The most the sender may be charged per gas. */
export function maxFeeWei(tx: TypedTransaction): bigint {
  if (isFeeMarket1559Tx(tx)) return tx.maxFeePerGas;
  return isLegacyTx(tx) || isAccessList2930Tx(tx) ? tx.gasPrice : 0n;
}

/** `inclusion` is absent while the transaction waits in the pool. */
export function transactionJson(
  tx: TypedTransaction,
  sender: Uint8Array,
  inclusion?: Inclusion,
): Record<string, unknown> {
  const json = tx.toJSON();
  const typed = !isLegacyTx(tx);
  return {
    type: quantity(tx.type),
    hash: dataHex(tx.hash()),
    from: dataHex(sender),
    to: tx.to === undefined ? null : tx.to.toString(),
    nonce: quantity(tx.nonce),
    gas: quantity(tx.gasLimit),
    value: quantity(tx.value),
    input: dataHex(tx.data),
    gasPrice: quantity(
      inclusion === undefined ? maxFeeWei(tx) : effectiveGasPriceWei(tx, inclusion.baseFeeWei),
    ),
    ...(isFeeMarket1559Tx(tx)
      ? {
          maxFeePerGas: quantity(tx.maxFeePerGas),
          maxPriorityFeePerGas: quantity(tx.maxPriorityFeePerGas),
        }
      : {}),
    chainId: quantity(tx.common.chainId()),
    v: quantity(tx.v ?? 0n),
    r: quantity(tx.r ?? 0n),
    s: quantity(tx.s ?? 0n),
    ...(typed ? { yParity: quantity(tx.v ?? 0n), accessList: json.accessList ?? [] } : {}),
    blockHash: inclusion === undefined ? null : dataHex(inclusion.blockHash),
    blockNumber: inclusion === undefined ? null : quantity(inclusion.blockNumber),
    transactionIndex: inclusion === undefined ? null : quantity(inclusion.position),
  };
}
