/**
 * Reads the network's events in chain order, each exactly once, across restarts and reorgs.
 *
 * The position is a block with its hash. Events of a range and the new position are handed over inside one
 * transaction of the caller's database. Before a range is believed, its first block must be a child of the position
 * and its last block must be the same before and after the logs were read.
 */
import { type Clock, type HydrogenError, isHydrogenError, systemClock } from "@hydrogen/std";
import type { Chain } from "./chain.ts";
import type { BlockRef, Cursor } from "./cursor.ts";
import { chainError } from "./errors.ts";
import type { HydrogenEvent } from "./events.ts";
import { type Log, noLog } from "./log.ts";
import type { Head } from "./rpc.ts";

/** The events of consecutive blocks. */
export type EventBatch = {
  readonly fromBlock: bigint;
  /** The new position. */
  readonly toBlock: Head;
  readonly events: readonly HydrogenEvent[];
};

export type FollowHandler = {
  /**
   * Applies a batch, which may be without events. Runs inside the cursor's transaction and must not wait for anything;
   * what it throws undoes the batch and ends `run`.
   */
  onEvents(batch: EventBatch): void;
  /** The chain was reorganised: undo everything of blocks above this one. Runs inside the cursor's transaction. */
  onReorg(toBlock: bigint): void;
  /** After a batch is committed: the place to wake up whoever acts on it. */
  onCommitted?(batch: EventBatch): void;
};

export type FollowerOptions = {
  chain: Chain;
  cursor: Cursor;
  /** Default: the block of the deployment. */
  fromBlock?: bigint | undefined;
  /** Blocks to stay behind the head. Default 0: at the head, with reorgs. */
  confirmations?: number | undefined;
  /** The largest range asked for at once; shrinks by itself when the RPC refuses it. Default 2,000. */
  pageBlocks?: number | undefined;
};

export type FollowerDeps = { clock?: Clock | undefined; log?: Log | undefined };

export type Follower = {
  /**
   * Follows until the signal aborts, and rejects with its reason. Outages of the RPC are waited through.
   *
   * @throws FOLLOWER_HISTORY_MISSING, or what the handler threw
   */
  run(handler: FollowHandler, signal: AbortSignal): Promise<never>;
  /** The block up to which everything is committed, if any. */
  position(): BlockRef | undefined;
  /** Resolves when everything that the chain holds now is committed. Needs `run` to be running. */
  caughtUp(signal?: AbortSignal): Promise<void>;
};

const firstRetryMs = 200;
const maxRetryMs = 5_000;
const pagesBeforeGrowth = 32;
/** Of one block's logs, in a row, before they count as gone. */
const refusalsTolerated = 5;

/** What an RPC may say today and not tomorrow; some answer an internal error to anything while they start. */
const troubles = ["CHAIN_UNREACHABLE", "CHAIN_BUSY", "CHAIN_RPC_ERROR", "BLOCK_NOT_FOUND"];

/** Thrown inside a step that met a reorg halfway; the next step sorts it out. */
const chainMoved = Symbol("chain moved");

export function createFollower(options: FollowerOptions, deps: FollowerDeps = {}): Follower {
  const { chain, cursor, confirmations = 0, pageBlocks = 2_000 } = options;
  const { clock = systemClock, log = noLog } = deps;
  const firstBlock = options.fromBlock ?? chain.addresses.deployedBlock;
  let page = pageBlocks;
  let pagesRead = 0;
  let refusals = 0;
  let waiting: { block: bigint; reached: PromiseWithResolvers<void> }[] = [];

  const position = (): BlockRef | undefined => cursor.recent()[0];

  /** Logs of a range, in pages as large as the RPC grants. */
  const readPage = async (
    fromBlock: bigint,
    lastBlock: bigint,
    head: Head,
  ): Promise<{ toBlock: Head; events: HydrogenEvent[] }> => {
    for (;;) {
      const toNumber = fromBlock + BigInt(page) <= lastBlock ? fromBlock + BigInt(page) - 1n : lastBlock;
      const toBlock = toNumber === head.number ? head : await chain.block(toNumber);
      try {
        const range = fromBlock === toNumber ? { blockHash: toBlock.hash } : { fromBlock, toBlock: toNumber };
        const events = await chain.getLogs(range);
        refusals = 0;
        if (page < pageBlocks && ++pagesRead % pagesBeforeGrowth === 0) page = Math.min(pageBlocks, page * 2);
        return { toBlock, events };
      } catch (error) {
        if (!isHydrogenError(error)) throw error;
        if (fromBlock === toNumber) throw await explainRefusal(error, toBlock);
        page = Math.floor(Number(toNumber - fromBlock + 1n) / 2);
        pagesRead = 0;
        if (error.code !== "CHAIN_RPC_ERROR") throw error; // an outage, or a range that takes too long
        log.debug("the RPC refused a range of logs, asking for a smaller one", { blocks: page, error });
      }
    }
  };

  /** One block's logs refused: gone in a reorg meanwhile, a passing trouble, or no longer kept. */
  const explainRefusal = async (error: HydrogenError, block: Head): Promise<unknown> => {
    if ((await blockAt(block.number))?.hash !== block.hash) return chainMoved;
    if (error.code !== "CHAIN_RPC_ERROR" || ++refusals < refusalsTolerated) return error;
    return chainError("FOLLOWER_HISTORY_MISSING", { block: block.number }, error);
  };

  /** The newest block passed that is still canonical, or the one before the first. */
  const findCommonBlock = async (): Promise<bigint> => {
    for (const ref of cursor.recent()) if ((await blockAt(ref.number))?.hash === ref.hash) return ref.number;
    return firstBlock - 1n;
  };

  const blockAt = async (number: bigint): Promise<Head | undefined> => {
    try {
      return await chain.block(number);
    } catch (error) {
      if (isHydrogenError(error, "BLOCK_NOT_FOUND")) return undefined;
      throw error;
    }
  };

  /** Brings the position one page further. Returns whether there was anything to do. */
  const step = async (handler: FollowHandler, head: Head): Promise<boolean> => {
    const at = position();
    const lastBlock = head.number - BigInt(confirmations);
    const fromBlock = at === undefined ? firstBlock : at.number + 1n;
    if (fromBlock > lastBlock) {
      // A head that is not above the position may belong to another branch.
      return head.number <= (at?.number ?? -1n) && (await isReorganised(head)) && rewind(handler);
    }
    const { toBlock, events } = await readPage(fromBlock, lastBlock, head);
    const first = fromBlock === toBlock.number ? toBlock : await chain.block(fromBlock);
    if (at !== undefined && first.parentHash !== at.hash) return rewind(handler);
    if (fromBlock !== toBlock.number && (await blockAt(toBlock.number))?.hash !== toBlock.hash)
      throw chainMoved;
    const batch: EventBatch = { fromBlock, toBlock, events };
    cursor.transaction(() => {
      handler.onEvents(batch);
      cursor.advance({ number: toBlock.number, hash: toBlock.hash });
    });
    handler.onCommitted?.(batch);
    announce(toBlock.number);
    return true;
  };

  /** A block that is missing proves nothing: one server behind the RPC may lag. One that differs does. */
  const isReorganised = async (head: Head): Promise<boolean> => {
    const ref = cursor.recent().find(({ number }) => number <= head.number);
    const block = ref && (await blockAt(ref.number));
    return block !== undefined && block.hash !== ref!.hash;
  };

  const rewind = async (handler: FollowHandler): Promise<boolean> => {
    const from = position()!;
    const toBlock = await findCommonBlock();
    if (toBlock === from.number) throw chainMoved; // and has swung back
    log.warn("the chain was reorganised", { position: from.number, toBlock });
    cursor.transaction(() => {
      handler.onReorg(toBlock);
      cursor.rollback(toBlock);
    });
    return true;
  };

  const announce = (number: bigint): void => {
    for (const { reached } of waiting.filter(({ block }) => block <= number)) reached.resolve();
    waiting = waiting.filter(({ block }) => block > number);
  };

  return {
    position,
    run: async (handler, signal) => {
      let head: Head | undefined;
      let retryMs = firstRetryMs;
      for (;;) {
        signal.throwIfAborted();
        try {
          head ??= await chain.head();
          const moved = await step(handler, head);
          retryMs = firstRetryMs;
          if (moved) continue;
          head = await chain.nextHead(head.hash, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (error !== chainMoved && !isHydrogenError(error, ...troubles)) throw error;
          if (error !== chainMoved) log.warn("cannot follow the chain for the moment", { error, retryMs });
          head = undefined;
          await clock.sleep(retryMs, signal);
          retryMs = Math.min(maxRetryMs, retryMs * 2);
        }
      }
    },
    caughtUp: async (signal) => {
      const goal = (await chain.head()).number - BigInt(confirmations);
      if (goal < firstBlock || (position()?.number ?? -1n) >= goal) return;
      const reached = Promise.withResolvers<void>();
      const onAbort = () => reached.reject(signal?.reason);
      signal?.throwIfAborted();
      signal?.addEventListener("abort", onAbort, { once: true });
      waiting.push({ block: goal, reached });
      try {
        await reached.promise;
      } finally {
        signal?.removeEventListener("abort", onAbort);
        waiting = waiting.filter((one) => one.reached !== reached);
      }
    },
  };
}
