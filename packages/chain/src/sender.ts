/**
 * Sends transactions so that each is executed exactly once, whatever crashes.
 *
 * A transaction is signed and kept in the outbox before anyone sees it; from then on it is broadcast until it is in
 * the chain. Nonces come from the outbox and the chain together. One that is stuck is replaced at the same nonce for
 * a higher fee, so that at most one of its signatures counts. Its nonce taken by somebody else means that it can
 * never be mined: only then it is signed anew. A reorg that drops it brings it back into the queue.
 */
import { type Clock, equalHex, systemClock } from "@hydrogen/std";
import type { Address, Hex, LocalAccount } from "viem";
import type { Call } from "./calls.ts";
import { chainError } from "./errors.ts";
import { type Log, noLog } from "./log.ts";
import type { OutboxRecord, OutboxStore } from "./outbox.ts";
import { createPipeline } from "./pipeline.ts";
import { preflight } from "./preflight.ts";
import type { Receipt } from "./receipt.ts";
import type { EvmRpc } from "./rpc.ts";

export type SendRequest = {
  /**
   * Names this transaction for ever: sending it again, even after a crash, gives the same one. One that reverted
   * stays reverted; take a new key to try again. One that was refused before it was sent leaves its key free.
   */
  key: string;
  call: Call;
  /** Gas limit. Skips the simulation: for a call that depends on one still on its way. Default: estimate + `spareGas`. */
  gas?: bigint | undefined;
  /** For a call that costs more if another transaction comes first. Unused gas is not paid. Default: a quarter. */
  spareGas?: bigint | undefined;
};

export type SendWait = {
  signal?: AbortSignal | undefined;
  /** Gives up waiting, not the transaction. Default: waits for ever. */
  timeoutMs?: number | undefined;
};

export type Sent = { readonly hash: Hex; readonly receipt: Receipt };

export type SenderOptions = {
  chain: EvmRpc;
  account: LocalAccount;
  outbox: OutboxStore;
  /** Blocks that must hold the transaction before it counts, its own included. Default 1. */
  confirmations?: number | undefined;
  /** Below this depth a transaction may still be reorganised away and is watched. Default 12. */
  finalityBlocks?: number | undefined;
  /** A transaction older than this, next in line and not mined, is replaced for a higher fee. Default 30,000. */
  bumpAfterMs?: number | undefined;
  /** The most it offers per gas; replacements stop there. Default: no limit. */
  maxFeeCapWei?: bigint | undefined;
};

export type SenderDeps = {
  clock?: Clock | undefined;
  log?: Log | undefined;
  signal?: AbortSignal | undefined;
};

export type Sender = {
  readonly address: Address;
  /**
   * Sends and waits for the receipt.
   *
   * @throws TRANSACTION_REVERTED (nothing was sent if it has no fact `hash`), INSUFFICIENT_FUNDS, OUTBOX_KEY_REUSED,
   * TRANSACTION_TIMEOUT, CHAIN_UNREACHABLE, CHAIN_BUSY or CHAIN_RPC_ERROR before anything was sent
   */
  send(request: SendRequest, wait?: SendWait): Promise<Sent>;
  /**
   * Returns as soon as the transaction is kept and broadcast, without waiting for a block: for several in a row.
   *
   * @throws as `send`, but TRANSACTION_TIMEOUT
   */
  submit(request: SendRequest): Promise<OutboxRecord>;
  /** Waits for a submitted transaction. @throws TRANSACTION_REVERTED, TRANSACTION_TIMEOUT, RangeError for an unknown key */
  wait(key: string, wait?: SendWait): Promise<Sent>;
  /** What is known of a key, if anything. */
  record(key: string): OutboxRecord | undefined;
  /** Call once at start: takes up what an earlier process left. Returns how many transactions are still on their way. */
  resume(): number;
  /** Resolves when every transaction has its confirmations. */
  idle(signal?: AbortSignal): Promise<void>;
};

export function createSender(options: SenderOptions, deps: SenderDeps = {}): Sender {
  const { chain, account } = options;
  const { clock = systemClock, log = noLog } = deps;
  const outbox = options.outbox(`${chain.chainId}:${chain.genesisHash}:${account.address.toLowerCase()}`);
  const pipeline = createPipeline({ ...options, outbox }, { clock, log, signal: deps.signal });

  const prepare = async ({ key, call, gas, spareGas }: SendRequest): Promise<OutboxRecord> => {
    const limit = gas ?? (await preflight(chain, account.address, call, spareGas));
    return pipeline.enqueue(key, call, limit);
  };

  const submit = async (request: SendRequest): Promise<OutboxRecord> => {
    const { key, call } = request;
    const record = outbox.get(key) ?? (await prepare(request));
    if (!sameCall(record, call))
      throw chainError("OUTBOX_KEY_REUSED", { key, first: record.name, now: call.name });
    return record;
  };

  return {
    address: account.address,
    submit,
    wait: pipeline.wait,
    send: async (request, wait) => {
      await submit(request);
      return pipeline.wait(request.key, wait);
    },
    record: (key) => outbox.get(key),
    resume: pipeline.start,
    idle: pipeline.idle,
  };
}

function sameCall(a: Content, b: Content): boolean {
  return equalHex(a.to ?? "", b.to ?? "") && equalHex(a.data, b.data) && a.valueWei === b.valueWei;
}

type Content = Pick<Call, "to" | "data" | "valueWei">;
