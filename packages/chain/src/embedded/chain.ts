/**
 * The chain itself: one producer, one database. A transaction is acknowledged once it is on disk: in its block when blocks come
 * on demand, in the pool when they come by the clock or when its nonce is ahead. A block and all it changes is one SQLite commit.
 */
import type { Common } from "@ethereumjs/common";
import { createAddressFromString, KECCAK256_NULL } from "@ethereumjs/util";
import { type Clock, nowSec } from "@hydrogen/std";
import type { Database } from "@hydrogen/storage";
import { checkAffordable, decodeTransaction, type SignedTransaction } from "./admission.ts";
import { type BuiltBlock, buildBlock, chainedStateRoot, emptyBlock } from "./block-builder.ts";
import { type BlockRecord, type BlockStore, createBlockStore } from "./block-store.ts";
import { embeddedChainError } from "./errors.ts";
import { createEvmHost } from "./evm-host.ts";
import { hexKey } from "./format.ts";
import type { LogRecord } from "./log-index.ts";
import { createPoolStore } from "./pool-store.ts";
import { serverError } from "./rpc-error.ts";
import { BASE_FEE_WEI, BLOCK_GAS_LIMIT } from "./rules.ts";
import { createLatestState, createStateStore, type LatestState, type StateStore } from "./state-store.ts";
import { createTxPool, type PooledTransaction, type TxPool } from "./tx-pool.ts";

export type ChainLog = {
  info(message: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
};

export type ChainDeps = {
  readonly db: Database;
  readonly rules: Common;
  readonly clock: Clock;
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  readonly log: ChainLog;
};

export type ChainOptions = {
  readonly alloc: Readonly<Record<string, bigint>>;
  readonly onDemand: boolean;
};

export type ChainEvents = {
  block(block: BlockRecord, logs: readonly LogRecord[]): void;
  pending(entry: PooledTransaction): void;
};

export type Chain = {
  readonly rules: Common;
  readonly db: Database;
  readonly blocks: BlockStore;
  readonly states: StateStore;
  readonly latest: LatestState;
  readonly pool: TxPool;
  head(): BlockRecord;
  /** The timestamp a block would have if it were made now. */
  nextTimestampSec(): number;
  randomBytes(lengthBytes: number): Uint8Array;
  /** Resolves with the transaction's hash (without prefix) once it is durable. */
  submit(raw: Uint8Array): Promise<string>;
  /** Makes one block now, empty if nothing waits. */
  mine(): Promise<BlockRecord>;
  subscribe(listener: ChainEvents): () => void;
  /** Moves the clock of future blocks. */
  shiftTime(deltaSec: number): number;
  setNextTimestamp(timestampSec: number): void;
  /** Undoes every block after `number` and empties the pool. */
  rewind(number: number): Promise<void>;
  /** Waits for the block in progress; nothing is accepted afterwards. */
  stop(): Promise<void>;
};

export async function createChain(options: ChainOptions, deps: ChainDeps): Promise<Chain> {
  const { db, rules, clock, log } = deps;
  const blocks = createBlockStore(db, rules);
  const states = createStateStore(db);
  let head = openHead(options, deps, blocks, states);
  const latest = createLatestState(states);
  const pool = createTxPool();
  const stored = createPoolStore(db);
  const host = await createEvmHost(rules, latest, blocks);
  const listeners = new Set<ChainEvents>();
  const nonceOf = (senderKey: string): bigint => latest.account(senderKey)?.nonce ?? 0n;
  let arrivals = 0;
  let offsetSec = 0;
  let forcedTimestampSec: number | undefined;
  let stopped = false;
  let producing: Promise<unknown> = Promise.resolve();
  let scheduled = false;

  const nextTimestampSec = (): number =>
    Math.max(forcedTimestampSec ?? nowSec(clock) + offsetSec, Number(head.header.timestamp));

  const announce = (tell: (listener: ChainEvents) => void): void => {
    for (const listener of listeners) {
      try {
        tell(listener);
      } catch (error) {
        log.warn("a chain listener failed", { error });
      }
    }
  };

  const makeDurable = (entry: PooledTransaction): void => {
    if (entry.durable) return;
    stored.save(entry);
    entry.durable = true;
    entry.settle.resolve();
  };

  const drop = (entry: PooledTransaction, reason: unknown): void => {
    pool.remove(entry);
    entry.settle.reject(reason);
  };

  const commit = (built: BuiltBlock): void => {
    db.transaction(() => {
      blocks.write(built.block, built.receipts, built.logs);
      states.write(built.block.number, built.changes);
    });
    head = built.block;
    forcedTimestampSec = undefined;
    latest.apply(built.changes);
  };

  const produce = async (): Promise<BlockRecord | undefined> => {
    const candidates = pool.ready(nonceOf);
    for (const entry of candidates) entry.inFlight = true;
    try {
      const built = await buildBlock(host, rules, latest, head, candidates, {
        timestampSec: nextTimestampSec(),
        random: deps.randomBytes(32),
      });
      for (const { entry, reason } of built.refused) {
        // What was acknowledged waits, with all behind it: its sender may be funded, or replace it.
        if (!entry.durable) drop(entry, serverError(errorText(reason)));
        else candidates.filter((other) => other.senderKey === entry.senderKey).forEach(makeDurable);
      }
      if (options.onDemand && candidates.length > 0 && built.included.length === 0) return undefined;
      commit(built);
      for (const entry of built.included) {
        pool.remove(entry);
        entry.settle.resolve();
      }
      announce((listener) => listener.block(built.block, built.logs));
      return built.block;
    } catch (error) {
      log.warn("a block could not be made", { error });
      for (const entry of candidates) if (!entry.durable) drop(entry, serverError(errorText(error)));
      throw error;
    } finally {
      for (const entry of candidates) entry.inFlight = false;
    }
  };

  /** Runs after everything asked for before it. */
  const exclusive = <T>(work: () => Promise<T>): Promise<T> => {
    const result = producing.then(work, work);
    producing = result.catch(() => undefined);
    return result;
  };

  /** Blocks until nothing more can go into one. Those left behind a gap that opened meanwhile wait on disk. */
  const produceReady = async (): Promise<void> => {
    scheduled = false;
    while (!stopped && pool.ready(nonceOf).length > 0) {
      if ((await produce()) === undefined) break;
    }
    for (const entry of pool.all()) {
      if (!pool.isReady(entry, nonceOf(entry.senderKey))) makeDurable(entry);
    }
  };

  const schedule = (): void => {
    if (!options.onDemand || scheduled || stopped) return;
    scheduled = true;
    setImmediate(() => void exclusive(produceReady).catch(() => undefined));
  };

  const pooled = (signed: SignedTransaction, durable: boolean) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Nobody may be waiting any more when it is settled.
    promise.catch(() => undefined);
    const settle = { resolve, reject };
    return {
      entry: { ...signed, arrival: arrivals++, durable, inFlight: false, settle } satisfies PooledTransaction,
      settled: promise,
    };
  };

  /** Takes it into the pool, and onto the disk if its block will not come at once. */
  const admit = (entry: PooledTransaction): void => {
    const stateNonce = nonceOf(entry.senderKey);
    const replaced = pool.add(entry, stateNonce);
    try {
      if (replaced?.durable) {
        stored.replace(replaced, entry);
        entry.durable = true;
        entry.settle.resolve();
      } else if (!options.onDemand || !pool.isReady(entry, stateNonce)) {
        makeDurable(entry);
      }
    } catch (error) {
      pool.remove(entry);
      if (replaced !== undefined) pool.add(replaced, stateNonce);
      throw error;
    }
    replaced?.settle.reject(serverError("transaction replaced by another with the same nonce"));
  };

  const restore = (raw: Uint8Array): void => {
    const { entry } = pooled(decodeTransaction(raw, rules), true);
    const stateNonce = nonceOf(entry.senderKey);
    if (entry.tx.nonce < stateNonce) stored.forget(entry.tx.hash());
    else pool.add(entry, stateNonce);
  };
  for (const raw of stored.load()) restore(raw);
  schedule();

  return {
    rules,
    db,
    blocks,
    states,
    latest,
    pool,
    head: () => head,
    nextTimestampSec,
    randomBytes: deps.randomBytes,
    submit: async (raw) => {
      if (stopped) throw serverError("the chain is stopping");
      const signed = decodeTransaction(raw, rules);
      if (pool.get(signed.hashKey) !== undefined) throw serverError("already known");
      checkAffordable(signed, latest);
      const { entry, settled } = pooled(signed, false);
      admit(entry);
      announce((listener) => listener.pending(entry));
      schedule();
      await settled;
      return entry.hashKey;
    },
    mine: () => exclusive(async () => (await produce()) ?? head),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    shiftTime: (deltaSec) => {
      offsetSec += deltaSec;
      return offsetSec;
    },
    setNextTimestamp: (timestampSec) => {
      if (timestampSec < Number(head.header.timestamp)) {
        throw serverError("the timestamp is before that of the latest block");
      }
      forcedTimestampSec = timestampSec;
      offsetSec = timestampSec - nowSec(clock);
    },
    rewind: (number) =>
      exclusive(async () => {
        db.transaction(() => {
          blocks.undoAfter(number);
          states.undoAfter(number);
          stored.clear();
        });
        for (const entry of [...pool.all()]) drop(entry, serverError("the chain was reverted"));
        latest.forget();
        head = blocks.head()!;
      }),
    stop: async () => {
      stopped = true;
      await exclusive(async () => {
        for (const entry of [...pool.all()]) {
          if (!entry.durable) drop(entry, serverError("the chain is stopping"));
        }
      });
    },
  };
}

/** The newest block of the database, or a new genesis block with the given balances. */
function openHead(
  options: ChainOptions,
  { db, rules, clock }: ChainDeps,
  blocks: BlockStore,
  states: StateStore,
): BlockRecord {
  const chainId = Number(rules.chainId());
  const stored = db.get("SELECT chain_id FROM chain");
  if (stored !== undefined && stored.chain_id !== chainId) {
    throw embeddedChainError("EMBEDDED_CHAIN_ID_MISMATCH", {
      chainId,
      storedChainId: Number(stored.chain_id),
    });
  }
  const head = blocks.head();
  if (head !== undefined) return head;
  const accounts = new Map(
    Object.entries(options.alloc).map(([address, balanceWei]) => [
      hexKey(createAddressFromString(address).bytes),
      { nonce: 0n, balanceWei, codeHash: KECCAK256_NULL },
    ]),
  );
  const changes = { accounts, slots: new Map(), codes: new Map() };
  const { header } = emptyBlock(
    {
      number: 0n,
      timestamp: BigInt(nowSec(clock)),
      gasLimit: BLOCK_GAS_LIMIT,
      baseFeePerGas: BASE_FEE_WEI,
      stateRoot: chainedStateRoot(new Uint8Array(32), changes),
    },
    rules,
  );
  const genesis = { number: 0, hash: header.hash(), header, sizeBytes: header.serialize().length };
  db.transaction(() => {
    db.run("INSERT INTO chain (only, chain_id) VALUES (0, ?)", chainId);
    blocks.write(genesis, [], []);
    states.write(0, changes);
  });
  return genesis;
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
