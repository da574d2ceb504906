/** The sender's eye: looks after what is on its way until it is so deep in the chain that nothing can move it. */
import { type Clock, type HydrogenError, isHydrogenError } from "@hydrogen/std";
import type { Address } from "viem";
import { contractErrors } from "./abi.ts";
import { type Call, ethCall } from "./calls.ts";
import type { Dispatch } from "./dispatch.ts";
import { chainError } from "./errors.ts";
import type { Log } from "./log.ts";
import { depthOf, newestAttempt, type Outbox, type OutboxRecord } from "./outbox.ts";
import { getReceipt, type Receipt } from "./receipt.ts";
import type { EvmRpc, Head } from "./rpc.ts";

export type ReviewOptions = {
  chain: EvmRpc;
  address: Address;
  outbox: Outbox;
  dispatch: Dispatch;
  confirmations: number;
  finalityBlocks: number;
  bumpAfterMs: number;
};

/** Brings every pending record up to date with the chain. `isNewHead`: blocks below may have changed. */
export type Review = (head: Head, isNewHead: boolean) => Promise<void>;

const rebroadcastMs = 5_000;
const lostAfterMs = 5_000;
const transferGas = 21_000n;

export function createReview(options: ReviewOptions, deps: { clock: Clock; log: Log }): Review {
  const { chain, address, outbox, dispatch, confirmations, finalityBlocks, bumpAfterMs } = options;
  const { clock, log } = deps;
  const missingSinceMs = new Map<string, number>();

  const findReceipt = async (record: OutboxRecord): Promise<Receipt | undefined> => {
    for (const attempt of record.attempts.toReversed()) {
      const receipt = await getReceipt(chain, attempt.hash);
      if (receipt !== undefined) return receipt;
    }
    return undefined;
  };

  const putMined = async (record: OutboxRecord, receipt: Receipt): Promise<void> => {
    const { failure: _, ...rest } = record;
    const failure = receipt.status === "success" ? undefined : (await whyReverted(record, receipt)).toJSON();
    outbox.put({ ...rest, state: "mined", receipt, ...(failure && { failure }) });
    missingSinceMs.delete(record.key);
    log.debug("transaction mined", {
      key: record.key,
      call: record.name,
      block: receipt.blockNumber,
      status: receipt.status,
    });
  };

  const whyReverted = async (record: OutboxRecord, receipt: Receipt): Promise<HydrogenError> => {
    const facts = { function: record.name, hash: receipt.transactionHash, gasUsed: receipt.gasUsed };
    const call = { ...record, from: address, abi: contractErrors };
    // The state right before the transaction cannot be asked for: try that before its block, then that after.
    for (const state of [receipt.blockNumber - 1n, receipt.blockNumber]) {
      try {
        await ethCall(chain, call, state);
      } catch (error) {
        if (isHydrogenError(error, "TRANSACTION_REVERTED"))
          return chainError("TRANSACTION_REVERTED", { ...error.facts, ...facts }, error);
        if (!isHydrogenError(error, "CHAIN_RPC_ERROR")) throw error; // else: it does not keep that state
      }
    }
    const outOfGas = receipt.gasUsed === record.gas ? { error: "OutOfGas" } : {};
    return chainError("TRANSACTION_REVERTED", { ...facts, ...outOfGas });
  };

  /** If the highest block that holds one of ours is canonical, so are all below it. */
  const recheckMined = async (mined: OutboxRecord[]): Promise<void> => {
    const highest = mined.reduce<Receipt | undefined>(
      (top, { receipt }) => (top === undefined || receipt!.blockNumber > top.blockNumber ? receipt : top),
      undefined,
    );
    if (highest === undefined) return;
    const canonical = await chain.block(highest.blockNumber).catch((error) => {
      if (isHydrogenError(error, "BLOCK_NOT_FOUND")) return undefined;
      throw error;
    });
    if (canonical?.hash === highest.blockHash) return;
    for (const record of mined) {
      const receipt = await findReceipt(record);
      if (receipt?.blockHash === record.receipt!.blockHash) continue;
      if (receipt !== undefined) {
        await putMined(record, receipt);
        continue;
      }
      const { receipt: _, failure: __, ...rest } = record;
      outbox.put({ ...rest, state: "open" });
      dispatch.forgetBroadcast(record.key);
      log.warn("a reorg dropped a transaction, sending it again", { key: record.key, call: record.name });
    }
  };

  const reviewOpen = async (
    record: OutboxRecord,
    head: Head,
    counts: { latest: number; settled: number },
  ) => {
    const { key } = record;
    if (record.nonce < counts.latest) {
      const receipt = await findReceipt(record);
      if (receipt !== undefined) return putMined(record, receipt);
      const sinceMs = missingSinceMs.get(key) ?? clock.nowMs();
      missingSinceMs.set(key, sinceMs);
      // The receipt may only be late; and while the other transaction can be reorganised away, ours could still win.
      if (clock.nowMs() - sinceMs < lostAfterMs || record.nonce >= counts.settled) return;
      missingSinceMs.delete(key);
      log.warn("somebody else used the nonce, signing anew", { key, call: record.name, nonce: record.nonce });
      return dispatch.renumber(record, head);
    }
    missingSinceMs.delete(key);
    const last = newestAttempt(record);
    const stuck =
      record.nonce === counts.latest &&
      clock.nowMs() - last.signedMs >= bumpAfterMs &&
      head.number >= last.signedAtBlock + 2n; // a chain without blocks is not a matter of fees
    if (stuck && (await dispatch.raise(record, head))) return;
    if (clock.nowMs() - dispatch.lastBroadcastMs(key) >= rebroadcastMs) await dispatch.broadcast(record);
  };

  /** Nonces below ours that nobody holds any more (another program's, dropped from the pool) would block us for ever. */
  const fillGap = async (lowest: OutboxRecord, latest: number): Promise<void> => {
    if (lowest.nonce <= latest || clock.nowMs() - newestAttempt(lowest).signedMs < bumpAfterMs) return;
    if ((await dispatch.transactionCount("pending")) > latest) return;
    for (let nonce = latest; nonce < lowest.nonce; nonce++) {
      log.warn("filling a gap in the nonces", { nonce });
      const call: Call = { to: address, data: "0x", valueWei: 0n, name: "fill nonce", abi: [] };
      await dispatch.enqueue(`nonce-gap:${nonce}:${newestAttempt(lowest).hash}`, call, transferGas, nonce);
    }
  };

  return async (head, isNewHead) => {
    if (isNewHead) await recheckMined(outbox.pending().filter(({ state }) => state === "mined"));
    const open = outbox.pending().filter(({ state }) => state === "open");
    if (open.length > 0) {
      const latest = await dispatch.transactionCount("latest");
      const settledBlock = head.number - BigInt(confirmations - 1);
      const settled =
        confirmations <= 1 ? latest : await dispatch.transactionCount(settledBlock > 0n ? settledBlock : 0n);
      for (const record of open) await reviewOpen(record, head, { latest, settled });
      await fillGap(open[0]!, latest);
    }
    for (const record of outbox.pending()) {
      if (depthOf(record, head) < finalityBlocks) continue;
      outbox.put({ ...record, state: "final" });
      dispatch.forgetBroadcast(record.key);
    }
  };
}
