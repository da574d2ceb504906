/** Executes a call or an unsigned transaction on the state of some block and throws the changes away. */
import type { Block, HeaderData } from "@ethereumjs/block";
import { createAccessList2930Tx, createLegacyTx, type TypedTransaction } from "@ethereumjs/tx";
import { Account, Address } from "@ethereumjs/util";
import { runTx } from "@ethereumjs/vm";
import { Mutex } from "@hydrogen/std";
import { decodeAbiParameters } from "viem";
import { emptyBlock, nextHeader } from "./block-builder.ts";
import type { BlockRecord } from "./block-store.ts";
import type { Chain } from "./chain.ts";
import { createEvmHost } from "./evm-host.ts";
import { dataHex } from "./format.ts";
import {
  type BlockTag,
  type JsonObject,
  parseAddress,
  parseData,
  parseFixed,
  parseObject,
  parseQuantity,
} from "./params.ts";
import { invalidParams, RpcError, rpcCodes, serverError } from "./rpc-error.ts";
import { BLOCK_GAS_LIMIT } from "./rules.ts";
import type { StateView } from "./state-store.ts";

export type CallRequest = {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
  readonly data: Uint8Array;
  readonly valueWei: bigint;
  readonly gas: bigint | undefined;
  readonly maxFeeWei: bigint;
  readonly accessList: readonly [Uint8Array, Uint8Array[]][] | undefined;
};

export type StateOverride = {
  readonly address: Uint8Array;
  readonly balanceWei: bigint | undefined;
  readonly nonce: bigint | undefined;
  readonly code: Uint8Array | undefined;
  readonly slots: readonly (readonly [slot: Uint8Array, value: Uint8Array])[];
};

export type CallOutcome = {
  readonly returned: Uint8Array;
  /** After refunds: what the sender would be charged. */
  readonly gasUsed: bigint;
  /** Before refunds: what had to be at hand. */
  readonly gasNeeded: bigint;
  /** The EVM's own name of the failure, "revert" for one the contract chose. */
  readonly failure: string | undefined;
};

export type Simulator = {
  /**
   * The newest block ("latest", "pending") is simulated as the one after it: what holds if the transaction were sent now. On a chain
   * that makes blocks on demand, the newest block may be hours old, and its clock with it.
   * @throws RpcError if the call cannot even start (insufficient funds, intrinsic gas)
   */
  run(
    request: CallRequest,
    at: BlockRecord | "next",
    gas: bigint,
    overrides?: readonly StateOverride[],
  ): Promise<CallOutcome>;
};

export async function createSimulator(chain: Chain): Promise<Simulator> {
  const viewAt = (number: number): StateView => ({
    ...chain.states.viewAt(number),
    code: (key) => chain.latest.code(key),
  });
  const host = await createEvmHost(chain.rules, viewAt(chain.head().number), chain.blocks);
  const turn = new Mutex();

  const contextOf = (at: BlockRecord | "next"): { block: Block; view: StateView } => {
    const head = chain.head();
    const header: HeaderData =
      at === "next" ? nextHeader(head, chain.nextTimestampSec(), chain.randomBytes(32)) : at.header;
    return {
      // A free base fee, so that who asks needs no balance (as go-ethereum does).
      block: emptyBlock({ ...fieldsOf(header), baseFeePerGas: 0n }, chain.rules),
      view: viewAt(at === "next" ? head.number : at.number),
    };
  };

  return {
    run: (request, at, gas, overrides = []) =>
      turn.run(async () => {
        const { block, view } = contextOf(at);
        host.state.reset(view);
        for (const override of overrides) await applyOverride(host.state, override);
        const tx = unsigned(request, gas, chain);
        try {
          const result = await runTx(host.vm, {
            tx,
            block,
            skipNonce: true,
            skipBlockGasLimitValidation: true,
            skipHardForkValidation: true,
          });
          const error = result.execResult.exceptionError;
          return {
            returned: result.execResult.returnValue,
            gasUsed: result.totalGasSpent,
            gasNeeded: tx.getIntrinsicGas() + result.execResult.executionGasUsed,
            failure: error === undefined ? undefined : String(error.error),
          };
        } catch (error) {
          throw serverError(error instanceof Error ? error.message : String(error));
        }
      }),
  };
}

/** @returns "next" for the newest block; @throws RpcError if there is no such block. */
export function blockAt(chain: Chain, tag: BlockTag): BlockRecord | "next" {
  if (tag === "latest" || tag === "pending") return "next";
  const block = chain.blocks.byNumber(tag === "earliest" ? 0 : tag);
  if (block === undefined) throw serverError("header not found");
  return block;
}

/** @throws RpcError with the revert data, as go-ethereum reports it. */
export function assertSucceeded(outcome: CallOutcome): void {
  if (outcome.failure === undefined) return;
  if (outcome.failure !== "revert") throw serverError(outcome.failure);
  const reason = revertReason(outcome.returned);
  throw new RpcError(
    rpcCodes.reverted,
    reason === undefined ? "execution reverted" : `execution reverted: ${reason}`,
    dataHex(outcome.returned),
  );
}

export function parseCallRequest(value: unknown): CallRequest {
  const request = parseObject(value, "transaction");
  const fee = request.maxFeePerGas ?? request.gasPrice;
  return {
    from: request.from == null ? new Uint8Array(20) : parseAddress(request.from, "from"),
    to: request.to == null ? undefined : parseAddress(request.to, "to"),
    data: parseData(request.input ?? request.data ?? "0x", "data"),
    valueWei: parseQuantity(request.value ?? "0x0", "value"),
    gas: request.gas == null ? undefined : parseQuantity(request.gas, "gas"),
    maxFeeWei: fee == null ? 0n : parseQuantity(fee, "fee per gas"),
    accessList: request.accessList == null ? undefined : parseAccessList(request.accessList),
  };
}

export function parseOverrides(value: unknown): StateOverride[] {
  if (value === undefined || value === null) return [];
  return Object.entries(parseObject(value, "state override")).map(([address, fields]) => {
    const override: JsonObject = parseObject(fields, "state override");
    if (override.state !== undefined) throw invalidParams("only stateDiff is supported, not state");
    return {
      address: parseAddress(address),
      balanceWei: override.balance == null ? undefined : parseQuantity(override.balance, "balance"),
      nonce: override.nonce == null ? undefined : parseQuantity(override.nonce, "nonce"),
      code: override.code == null ? undefined : parseData(override.code, "code"),
      slots: Object.entries(parseObject(override.stateDiff ?? {}, "stateDiff")).map(
        ([slot, word]) => [parseFixed(slot, 32, "slot"), parseFixed(word, 32, "slot value")] as const,
      ),
    };
  });
}

export const gasCap = (request: CallRequest): bigint =>
  request.gas === undefined || request.gas > BLOCK_GAS_LIMIT ? BLOCK_GAS_LIMIT : request.gas;

function unsigned(request: CallRequest, gas: bigint, chain: Chain): TypedTransaction {
  const fields = {
    gasPrice: 0n,
    gasLimit: gas,
    value: request.valueWei,
    data: request.data,
    ...(request.to === undefined ? {} : { to: new Address(request.to) }),
  };
  const options = { common: chain.rules, freeze: false };
  const tx =
    request.accessList === undefined
      ? createLegacyTx(fields, options)
      : createAccessList2930Tx({ ...fields, accessList: request.accessList as never }, options);
  tx.getSenderAddress = () => new Address(request.from);
  return tx;
}

async function applyOverride(
  state: Awaited<ReturnType<typeof createEvmHost>>["state"],
  override: StateOverride,
): Promise<void> {
  const address = new Address(override.address);
  const account = (await state.getAccount(address)) ?? new Account();
  account.balance = override.balanceWei ?? account.balance;
  account.nonce = override.nonce ?? account.nonce;
  await state.putAccount(address, account);
  if (override.code !== undefined) await state.putCode(address, override.code);
  for (const [slot, value] of override.slots) await state.putStorage(address, slot, trimLeft(value));
}

/** The EVM stores words without their leading zeros. */
function trimLeft(word: Uint8Array): Uint8Array {
  const start = word.findIndex((byte) => byte !== 0);
  return start === -1 ? new Uint8Array(0) : word.subarray(start);
}

function parseAccessList(value: unknown): [Uint8Array, Uint8Array[]][] {
  if (!Array.isArray(value)) throw invalidParams("accessList must be an array");
  return value.map((item) => {
    const { address, storageKeys } = parseObject(item, "access list item");
    if (!Array.isArray(storageKeys)) throw invalidParams("storageKeys must be an array");
    return [parseAddress(address), storageKeys.map((key) => parseFixed(key, 32, "storage key"))];
  });
}

/** The text of Solidity's Error(string), if that is what it is. */
function revertReason(returned: Uint8Array): string | undefined {
  if (!dataHex(returned).startsWith("0x08c379a0")) return undefined;
  try {
    return decodeAbiParameters([{ type: "string" }], returned.subarray(4))[0];
  } catch {
    return undefined;
  }
}

function fieldsOf(header: HeaderData): HeaderData {
  const { number, parentHash, timestamp, gasLimit, mixHash, coinbase } = header;
  return {
    number: number!,
    parentHash: parentHash!,
    timestamp: timestamp!,
    gasLimit: gasLimit!,
    mixHash: mixHash!,
    ...(coinbase === undefined ? {} : { coinbase }),
  };
}
