/** The sender's engine: gives out nonces, signs, broadcasts, and looks after what is on its way until it is final. */
import { type Clock, deserializeError, HydrogenError, isHydrogenError, Mutex } from "@hydrogen/std";
import { keccak256, type LocalAccount, numberToHex, type TransactionSerializable } from "viem";
import { contractErrors } from "./abi.ts";
import { type Call, ethCall } from "./calls.ts";
import { chainError } from "./errors.ts";
import { capFees, type FeeQuoter, type Fees, raiseFees } from "./fees.ts";
import type { Log } from "./log.ts";
import type { Attempt, Outbox, OutboxRecord } from "./outbox.ts";
import { getReceipt, type Receipt } from "./receipt.ts";
import type { EvmRpc, Head } from "./rpc.ts";
import type { SendWait, Sent } from "./sender.ts";

export type Pipeline = {
  /** Keeps, signs and broadcasts the call; returns the existing record of a known key. */
  enqueue(key: string, call: Call, gas: bigint): Promise<OutboxRecord>;
  wait(key: string, wait?: SendWait): Promise<Sent>;
  start(): number;
  idle(signal?: AbortSignal): Promise<void>;
};

export type PipelineOptions = {
  chain: EvmRpc;
  account: LocalAccount;
  outbox: Outbox;
  confirmations?: number | undefined;
  finalityBlocks?: number | undefined;
  bumpAfterMs?: number | undefined;
  maxFeeCapWei?: bigint | undefined;
};

type Content = Pick<OutboxRecord, "to" | "data" | "valueWei" | "gas">;

const rebroadcastMs = 5_000;
const reviewMs = 1_000;
const firstReviewMs = 25;
const lostAfterMs = 5_000;
const transferGas = 21_000n;

export function createPipeline(
  options: PipelineOptions,
  deps: { clock: Clock; log: Log; signal: AbortSignal | undefined; quote: FeeQuoter },
): Pipeline {
  const { chain, account, outbox, confirmations = 1, bumpAfterMs = 30_000, maxFeeCapWei } = options;
  const { clock, log, signal, quote } = deps;
  const finalityBlocks = Math.max(options.finalityBlocks ?? 12, confirmations);
  const signing = new Mutex();
  const waiters = new Set<{ key: string; settled: PromiseWithResolvers<Sent> }>();
  const idlers = new Set<PromiseWithResolvers<void>>();
  const abis = new Map<string, Call["abi"]>();
  const broadcastAtMs = new Map<string, number>();
  const missingSinceMs = new Map<string, number>();
  let running = false;
  let woken = Promise.withResolvers<void>();
  let reviewed: Head | undefined;

  // ── Signing ──────────────────────────────────────────────────────────────────────────────────────────────────

  const transactionCount = async (at: "latest" | "pending" | bigint): Promise<number> => {
    const block = typeof at === "bigint" ? numberToHex(at) : at;
    return Number(
      await chain.request({ method: "eth_getTransactionCount", params: [account.address, block] }),
    );
  };

  /** Ours that are on their way come before whatever the chain has seen, and others may use the account too. */
  const nextNonce = async (): Promise<number> => {
    const ours = outbox.pending().reduce((next, record) => Math.max(next, record.nonce + 1), 0);
    return Math.max(ours, await transactionCount("pending"));
  };

  const sign = async (content: Content, nonce: number, fees: Fees, head: Head): Promise<Attempt> => {
    const pricing =
      head.baseFeeWei === undefined
        ? ({ type: "legacy", gasPrice: fees.maxFeeWei } as const)
        : ({ type: "eip1559", maxFeePerGas: fees.maxFeeWei, maxPriorityFeePerGas: fees.tipWei } as const);
    const transaction: TransactionSerializable = {
      ...pricing,
      chainId: chain.chainId,
      nonce,
      to: content.to,
      data: content.data,
      value: content.valueWei,
      gas: content.gas,
    };
    const raw = await account.signTransaction(transaction);
    return { hash: keccak256(raw), raw, nonce, ...fees, signedMs: clock.nowMs(), signedAtBlock: head.number };
  };

  const cap = (fees: Fees): Fees => capFees(fees, maxFeeCapWei);

  const enqueue = (key: string, call: Call, gas: bigint, fixedNonce?: number): Promise<OutboxRecord> =>
    signing.run(async () => {
      signal?.throwIfAborted();
      const known = outbox.get(key);
      if (known !== undefined) return known;
      const head = await chain.head();
      const [nonce, balance, quoted] = await Promise.all([
        fixedNonce ?? nextNonce(),
        chain.request({ method: "eth_getBalance", params: [account.address, "latest"] }),
        quote(head),
      ]);
      const fees = cap(quoted);
      const needWei = gas * fees.maxFeeWei + call.valueWei;
      if (BigInt(balance) < needWei)
        throw chainError("INSUFFICIENT_FUNDS", {
          address: account.address,
          balanceWei: BigInt(balance),
          needWei,
        });
      const content = { to: call.to, data: call.data, valueWei: call.valueWei, gas };
      const attempt = await sign(content, nonce, fees, head);
      const record: OutboxRecord = {
        key,
        name: call.name,
        ...content,
        nonce,
        state: "open",
        attempts: [attempt],
      };
      abis.set(key, call.abi);
      outbox.put(record);
      await broadcast(record);
      wake();
      return record;
    });

  /** Signs again: at the same nonce to replace, at another one when the first is lost to somebody else. */
  const signAgain = async (record: OutboxRecord, nonce: number, fees: Fees, head: Head): Promise<void> => {
    const attempt = await sign(record, nonce, fees, head);
    const next: OutboxRecord = { ...record, nonce, attempts: [...record.attempts, attempt] };
    outbox.put(next);
    await broadcast(next);
  };

  /** What is kept must not fail here: a refusal or an outage is met again at the next review. */
  const broadcast = async (record: OutboxRecord): Promise<void> => {
    const { raw, hash, nonce } = newest(record);
    broadcastAtMs.set(record.key, clock.nowMs());
    try {
      await chain.request({ method: "eth_sendRawTransaction", params: [raw] });
      log.debug("transaction broadcast", { key: record.key, call: record.name, nonce, hash });
    } catch (error) {
      if (!(error instanceof HydrogenError)) throw error;
      log.debug("transaction not accepted (yet)", { key: record.key, call: record.name, nonce, hash, error });
    }
  };

  // ── Looking after ────────────────────────────────────────────────────────────────────────────────────────────

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
    const call = { ...record, from: account.address, abi: abis.get(record.key) ?? contractErrors };
    // The state right before the transaction cannot be asked for: try that before its block, then that after.
    for (const state of [receipt.blockNumber - 1n, receipt.blockNumber]) {
      try {
        await ethCall(chain, call, state);
      } catch (error) {
        if (isHydrogenError(error, "TRANSACTION_REVERTED"))
          return chainError("TRANSACTION_REVERTED", { ...error.facts, ...facts }, error);
        if (isHydrogenError(error) && error.retryable) throw error;
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
      broadcastAtMs.delete(record.key);
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
      return signing.run(async () => signAgain(record, await nextNonce(), cap(await quote(head)), head));
    }
    missingSinceMs.delete(key);
    const last = newest(record);
    const stuck =
      record.nonce === counts.latest &&
      clock.nowMs() - last.signedMs >= bumpAfterMs &&
      head.number >= last.signedAtBlock + 2n; // a chain without blocks is not a matter of fees
    const raised = stuck ? cap(raiseFees(last, await quote(head))) : last;
    if (raised.maxFeeWei > last.maxFeeWei) {
      log.info("replacing a stuck transaction", { key, call: record.name, nonce: record.nonce, ...raised });
      return signAgain(record, record.nonce, { maxFeeWei: raised.maxFeeWei, tipWei: raised.tipWei }, head);
    }
    if (clock.nowMs() - (broadcastAtMs.get(key) ?? -Infinity) >= rebroadcastMs) await broadcast(record);
  };

  /** Nonces below ours that nobody holds any more (another program's, dropped from the pool) would block us for ever. */
  const fillGap = async (lowest: OutboxRecord, latest: number): Promise<void> => {
    if (lowest.nonce <= latest || clock.nowMs() - newest(lowest).signedMs < bumpAfterMs) return;
    if ((await transactionCount("pending")) > latest) return;
    for (let nonce = latest; nonce < lowest.nonce; nonce++) {
      log.warn("filling a gap in the nonces", { nonce });
      const call: Call = { to: account.address, data: "0x", valueWei: 0n, name: "fill nonce", abi: [] };
      await enqueue(`nonce-gap:${nonce}:${newest(lowest).hash}`, call, transferGas, nonce);
    }
  };

  const review = async (head: Head): Promise<void> => {
    if (head.hash !== reviewed?.hash)
      await recheckMined(outbox.pending().filter(({ state }) => state === "mined"));
    const open = outbox.pending().filter(({ state }) => state === "open");
    if (open.length > 0) {
      const settledBlock = head.number - BigInt(confirmations - 1);
      const latest = await transactionCount("latest");
      const settled =
        confirmations <= 1 ? latest : await transactionCount(settledBlock > 0n ? settledBlock : 0n);
      for (const record of open) await reviewOpen(record, head, { latest, settled });
      await fillGap(open[0]!, latest);
    }
    for (const record of outbox.pending()) {
      if (depth(record, head) < finalityBlocks) continue;
      outbox.put({ ...record, state: "final" });
      broadcastAtMs.delete(record.key);
      abis.delete(record.key);
    }
    // A receipt from above the head: the head is old, and what has happened since would go unnoticed.
    const isOld = outbox
      .pending()
      .some(({ receipt }) => receipt !== undefined && receipt.blockNumber > head.number);
    reviewed = isOld ? undefined : head;
    settle(head);
  };

  // ── Waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

  const confirmed = (record: OutboxRecord, head: Head | undefined): boolean =>
    record.state === "final" ||
    (record.state === "mined" &&
      (confirmations <= 1 || (head !== undefined && depth(record, head) >= confirmations)));

  const settle = (head: Head): void => {
    for (const waiter of waiters) {
      const record = outbox.get(waiter.key)!;
      if (!confirmed(record, head)) continue;
      waiters.delete(waiter);
      outcomeOf(record).then(waiter.settled.resolve, waiter.settled.reject);
    }
    if (outbox.pending().every((record) => confirmed(record, head))) resolveIdlers();
  };

  const resolveIdlers = () => {
    for (const idler of idlers) idler.resolve();
    idlers.clear();
  };

  const wake = (): void => {
    woken.resolve();
    if (!running && !signal?.aborted) void pump();
  };

  const pump = async (): Promise<void> => {
    running = true;
    try {
      while ((outbox.pending().length > 0 || waiters.size > 0) && !signal?.aborted) {
        woken = Promise.withResolvers();
        try {
          await review(await chain.head());
        } catch (error) {
          if (!isHydrogenError(error) || error.code === "CHAIN_CLOSED") throw error;
          log.warn("cannot look after transactions for the moment", { error });
          await clock.sleep(reviewMs, signal);
        }
        if (outbox.pending().length > 0) await untilNews();
      }
      signal?.throwIfAborted();
      resolveIdlers();
    } catch (error) {
      if (!signal?.aborted) log.warn("no longer looking after transactions", { error });
      for (const { settled } of [...waiters, ...[...idlers].map((settled) => ({ settled }))])
        settled.reject(error);
      waiters.clear();
      idlers.clear();
    } finally {
      running = false;
    }
  };

  const untilNews = async (): Promise<void> => {
    if (reviewed === undefined) return clock.sleep(firstReviewMs, signal);
    const over = new AbortController();
    const ends = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
    const news: Promise<unknown>[] = [woken.promise, chain.nextHead(reviewed.hash, ends)];
    const open = outbox.pending().filter(({ state }) => state === "open");
    if (open.length > 0) {
      // Soon after a broadcast, and ever later: chains that mine at once answer at once.
      const latestMs = Math.max(...open.map(({ key }) => broadcastAtMs.get(key) ?? 0));
      const pauseMs = Math.min(reviewMs, Math.max(firstReviewMs, (clock.nowMs() - latestMs) / 2));
      news.push(clock.sleep(pauseMs, ends));
    }
    try {
      await Promise.race(news);
    } catch (error) {
      if (!ends.aborted) throw error;
    } finally {
      over.abort();
      await Promise.allSettled(news.slice(1));
    }
  };

  return {
    enqueue,
    start: () => {
      const onTheirWay = outbox.pending().filter(({ state }) => state === "open").length;
      if (outbox.pending().length > 0) wake();
      return onTheirWay;
    },
    wait: async (key, { signal: waitSignal, timeoutMs } = {}) => {
      const record = outbox.get(key);
      if (record === undefined) throw new RangeError(`no transaction was submitted under the key ${key}`);
      if (confirmed(record, reviewed)) return outcomeOf(record);
      const waiter = { key, settled: Promise.withResolvers<Sent>() };
      return abortable(
        waiter.settled,
        { clock, signals: [signal, waitSignal], timeoutMs, onTimeout: () => timeout(key) },
        () => {
          waiters.add(waiter);
          wake();
        },
      ).finally(() => waiters.delete(waiter));
    },
    idle: async (waitSignal) => {
      const idler = Promise.withResolvers<void>();
      return abortable(idler, { clock, signals: [signal, waitSignal] }, () => {
        idlers.add(idler);
        wake();
      }).finally(() => idlers.delete(idler));
    },
  };

  function timeout(key: string): HydrogenError {
    const record = outbox.get(key)!;
    const { hash } = newest(record);
    return chainError("TRANSACTION_TIMEOUT", {
      key,
      function: record.name,
      nonce: record.nonce,
      hash,
      state: record.state,
    });
  }
}

async function outcomeOf({ receipt, failure }: OutboxRecord): Promise<Sent> {
  if (failure !== undefined) throw deserializeError(failure);
  return { hash: receipt!.transactionHash, receipt: receipt! };
}

function newest(record: OutboxRecord): Attempt {
  return record.attempts.at(-1)!;
}

/** How many blocks hold the transaction: 1 when it is in the head, 0 when it is in none. */
function depth(record: OutboxRecord, head: Head): number {
  return record.receipt === undefined ? 0 : Math.max(0, Number(head.number - record.receipt.blockNumber) + 1);
}

/** Starts something and waits for its outcome, an abort or the time limit. */
async function abortable<T>(
  outcome: PromiseWithResolvers<T>,
  options: {
    clock: Clock;
    signals: (AbortSignal | undefined)[];
    timeoutMs?: number | undefined;
    onTimeout?: () => Error;
  },
  start: () => void,
): Promise<T> {
  const { clock, timeoutMs, onTimeout } = options;
  const over = new AbortController();
  const signals = options.signals.filter((signal) => signal !== undefined);
  const onAbort = () => outcome.reject(signals.find(({ aborted }) => aborted)?.reason);
  for (const signal of signals) {
    signal.throwIfAborted();
    signal.addEventListener("abort", onAbort, { once: true, signal: over.signal });
  }
  if (timeoutMs !== undefined)
    clock.sleep(timeoutMs, over.signal).then(
      () => outcome.reject(onTimeout?.()),
      () => undefined,
    );
  start();
  try {
    return await outcome.promise;
  } finally {
    over.abort();
  }
}
