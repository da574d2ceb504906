/** Turns raw bytes into a transaction the pool may hold, or says why not, in go-ethereum's words. */
import type { Common } from "@ethereumjs/common";
import { Capability, createTxFromRLP, TransactionType, type TypedTransaction } from "@ethereumjs/tx";
import { hexKey } from "./format.ts";
import { invalidParams, serverError } from "./rpc-error.ts";
import { BASE_FEE_WEI, BLOCK_GAS_LIMIT, MAX_TX_BYTES } from "./rules.ts";
import type { StateView } from "./state-store.ts";
import { maxFeeWei } from "./transaction-json.ts";

export type SignedTransaction = {
  readonly tx: TypedTransaction;
  readonly raw: Uint8Array;
  readonly hashKey: string;
  readonly senderKey: string;
};

const supportedTypes: readonly number[] = [
  TransactionType.Legacy,
  TransactionType.AccessListEIP2930,
  TransactionType.FeeMarketEIP1559,
];

/** @throws RpcError if the bytes are no transaction of this chain with a valid signature. */
export function decodeTransaction(raw: Uint8Array, rules: Common): SignedTransaction {
  if (raw.length > MAX_TX_BYTES) throw serverError("oversized data");
  if (raw.length === 0) throw invalidParams("typed transaction too short");
  const type = raw[0]! >= 0xc0 ? TransactionType.Legacy : raw[0]!;
  if (!supportedTypes.includes(type)) throw serverError("transaction type not supported");
  let tx: TypedTransaction;
  try {
    tx = createTxFromRLP(raw, { common: rules });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw serverError(
      /chain ?id|EIP155-based V/i.test(text) ? "invalid chain id for signer" : `invalid transaction: ${text}`,
    );
  }
  if ("chainId" in tx && tx.chainId !== rules.chainId()) throw serverError("invalid chain id for signer");
  if (type === TransactionType.Legacy && !tx.supports(Capability.EIP155ReplayProtection)) {
    throw serverError("only replay-protected (EIP-155) transactions allowed over RPC");
  }
  try {
    const senderKey = hexKey(tx.getSenderAddress().bytes);
    return { tx, raw, hashKey: hexKey(tx.hash()), senderKey };
  } catch {
    throw serverError("invalid sender");
  }
}

/** @throws RpcError if the transaction could not be executed on `state`, its nonce being ahead excepted. */
export function checkAffordable({ tx, senderKey }: SignedTransaction, state: StateView): void {
  if (tx.gasLimit > BLOCK_GAS_LIMIT) throw serverError("exceeds block gas limit");
  const needed = tx.getIntrinsicGas();
  if (tx.gasLimit < needed) {
    throw serverError(`intrinsic gas too low: gas ${tx.gasLimit}, minimum needed ${needed}`);
  }
  if (maxFeeWei(tx) < BASE_FEE_WEI) {
    throw serverError(
      `max fee per gas less than block base fee: maxFeePerGas: ${maxFeeWei(tx)}, baseFee: ${BASE_FEE_WEI}`,
    );
  }
  const account = state.account(senderKey);
  const costWei = tx.value + tx.gasLimit * maxFeeWei(tx);
  if ((account?.balanceWei ?? 0n) < costWei) {
    throw serverError(
      `insufficient funds for gas * price + value: balance ${account?.balanceWei ?? 0n}, tx cost ${costWei}`,
    );
  }
  const nonce = account?.nonce ?? 0n;
  if (tx.nonce < nonce) throw serverError(`nonce too low: next nonce ${nonce}, tx nonce ${tx.nonce}`);
}
