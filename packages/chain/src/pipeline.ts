/** The sender's heart: keeps reviewing what is on its way, as blocks come, and wakes those who wait for it. */
import { type Clock, deserializeError, type HydrogenError, isHydrogenError } from "@hydrogen/std";
import type { LocalAccount } from "viem";
import type { Call } from "./calls.ts";
import { createDispatch } from "./dispatch.ts";
import { chainError } from "./errors.ts";
import type { Log } from "./log.ts";
import { depthOf, newestAttempt, type Outbox, type OutboxRecord } from "./outbox.ts";
import { createReview } from "./review.ts";
import type { EvmRpc, Head } from "./rpc.ts";
import type { SendWait, Sent } from "./sender.ts";
import { settlement } from "./settlement.ts";

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

const reviewMs = 1_000;
const firstReviewMs = 25;

export function createPipeline(
  options: PipelineOptions,
  deps: { clock: Clock; log: Log; signal: AbortSignal | undefined },
): Pipeline {
  const { chain, account, outbox, confirmations = 1, bumpAfterMs = 30_000 } = options;
  const { clock, log, signal } = deps;
  const waiters = new Set<{ key: string; settled: PromiseWithResolvers<Sent> }>();
  const idlers = new Set<PromiseWithResolvers<void>>();
  let running = false;
  let woken = Promise.withResolvers<void>();
  let reviewed: Head | undefined;

  const dispatch = createDispatch(options, deps);
  const review = createReview(
    {
      chain,
      address: account.address,
      outbox,
      dispatch,
      confirmations,
      finalityBlocks: Math.max(options.finalityBlocks ?? 12, confirmations),
      bumpAfterMs,
    },
    deps,
  );

  const confirmed = (record: OutboxRecord, head: Head | undefined): boolean =>
    record.state === "final" ||
    (record.state === "mined" &&
      head !== undefined && // what an earlier process saw may be gone by now
      (confirmations <= 1 || depthOf(record, head) >= confirmations));

  const reviewAt = async (head: Head): Promise<void> => {
    await review(head, head.hash !== reviewed?.hash);
    // A receipt from above the head: the head is old, and what has happened since would go unnoticed.
    const isOld = outbox
      .pending()
      .some(({ receipt }) => receipt !== undefined && receipt.blockNumber > head.number);
    reviewed = isOld ? undefined : head;
    settle(head);
  };

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
          await reviewAt(await chain.head());
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
      const latestMs = Math.max(...open.map(({ key }) => dispatch.lastBroadcastMs(key)));
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
    enqueue: async (key, call, gas) => {
      const record = await dispatch.enqueue(key, call, gas);
      wake();
      return record;
    },
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
      return settlement(
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
      return settlement(idler, { clock, signals: [signal, waitSignal] }, () => {
        idlers.add(idler);
        wake();
      }).finally(() => idlers.delete(idler));
    },
  };

  function timeout(key: string): HydrogenError {
    const record = outbox.get(key)!;
    const { hash } = newestAttempt(record);
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
