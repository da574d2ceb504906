/**
 * A real EVM behind JSON-RPC on loopback, kept in SQLite: the chain a network has when nobody gives it another.
 * What it promises and what it leaves out: docs/adr/0001-embedded-chain.md.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Clock, systemClock } from "@hydrogen/std";
import { lockDirectory, openDatabase } from "@hydrogen/storage";
import { type ChainLog, createChain } from "./chain.ts";
import { createDevMethods, createEthMethods } from "./eth-methods.ts";
import { createFilters } from "./filters.ts";
import { createRpcHandler } from "./json-rpc.ts";
import { startRpcServer } from "./rpc-server.ts";
import { createRules } from "./rules.ts";
import { migrations } from "./schema.ts";
import { createSimulator } from "./simulation.ts";

export type { ChainLog } from "./chain.ts";
export { embeddedChainError } from "./errors.ts";

export type EmbeddedChainOptions = {
  /** Where the chain is kept; absent: in memory, gone when it closes. */
  readonly dataDir?: string;
  /** Default 127.0.0.1. There is no login: whoever reaches the port uses the chain. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 31337. */
  readonly chainId?: number;
  /** Seconds between blocks; absent: a block as soon as a transaction waits. */
  readonly blockTimeSec?: number;
  /** Balances in wei at the first start; ignored when the chain already exists. */
  readonly alloc: Readonly<Record<string, bigint>>;
  /** Origins of web pages that may use the chain, "*" for all; default none. */
  readonly allowedOrigins?: readonly string[];
  /** Host names besides localhost and `host` under which clients may address it; default none. */
  readonly allowedHosts?: readonly string[];
  /** Adds evm_increaseTime, evm_setNextBlockTimestamp, evm_mine, evm_snapshot and evm_revert; default false. */
  readonly dev?: boolean;
  readonly log?: ChainLog;
  /** Closes the chain when it aborts. */
  readonly signal?: AbortSignal;
};

export type EmbeddedChainDeps = {
  readonly clock?: Clock;
  readonly randomBytes?: (lengthBytes: number) => Uint8Array;
};

export type EmbeddedChain = {
  /** HTTP, for example http://127.0.0.1:8545. */
  readonly url: string;
  /** WebSocket on the same port. */
  readonly wsUrl: string;
  readonly chainId: number;
  /** Ends the block in progress and closes the database; may be called twice. */
  close(): Promise<void>;
};

const silent: ChainLog = { info: () => undefined, warn: () => undefined };

/**
 * Starts the chain, or takes up the one in `dataDir` where it was left. A transaction that was acknowledged is on disk.
 *
 * @throws STORAGE_IN_USE, STORAGE_WRITE_FAILED, EMBEDDED_CHAIN_ID_MISMATCH, EMBEDDED_CHAIN_LISTEN_FAILED, STORAGE_TOO_NEW
 * @example
 * const chain = await startEmbeddedChain({ dataDir: "data/chain", alloc: { [deployer]: parseEther("1000") } });
 */
export async function startEmbeddedChain(
  options: EmbeddedChainOptions,
  deps: EmbeddedChainDeps = {},
): Promise<EmbeddedChain> {
  const {
    dataDir,
    host = "127.0.0.1",
    port = 0,
    chainId = 31_337,
    blockTimeSec,
    log = silent,
    signal,
  } = options;
  const clock = deps.clock ?? systemClock;
  signal?.throwIfAborted();
  await using cleanup = new AsyncDisposableStack();
  if (dataDir !== undefined) cleanup.defer(lockDirectory(dataDir));
  const db = cleanup.adopt(
    openDatabase(dataDir === undefined ? ":memory:" : join(dataDir, "chain.sqlite"), migrations),
    (open) => open.close(),
  );
  const chain = await createChain(
    { alloc: options.alloc, onDemand: blockTimeSec === undefined },
    { db, rules: createRules(chainId), clock, log, randomBytes: deps.randomBytes ?? randomBytes },
  );
  cleanup.defer(() => chain.stop());
  const methods = {
    ...createEthMethods(chain, await createSimulator(chain), createFilters(chain, clock)),
    ...(options.dev === true ? createDevMethods(chain) : {}),
  };
  const server = await startRpcServer(
    { host, port, allowedOrigins: options.allowedOrigins ?? [], allowedHosts: options.allowedHosts ?? [] },
    chain,
    createRpcHandler(methods, log),
  );
  cleanup.defer(() => server.close());
  if (blockTimeSec !== undefined) {
    const ticking = new AbortController();
    const ended = mineByTheClock(blockTimeSec * 1_000, ticking.signal);
    cleanup.defer(async () => {
      ticking.abort();
      await ended;
    });
  }

  async function mineByTheClock(intervalMs: number, stop: AbortSignal): Promise<void> {
    let dueMs = clock.nowMs();
    while (!stop.aborted) {
      dueMs = Math.max(dueMs + intervalMs, clock.nowMs());
      try {
        await clock.sleep(dueMs - clock.nowMs(), stop);
        await chain.mine();
      } catch (error) {
        if (!stop.aborted) log.warn("the block clock missed a block", { error });
      }
    }
  }

  const running = cleanup.move();
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= running.disposeAsync();
    signal?.removeEventListener("abort", onAbort);
    return closed;
  };
  const onAbort = () =>
    void close().catch((error: unknown) => log.warn("the chain did not close", { error }));
  signal?.addEventListener("abort", onAbort, { once: true });
  const urlHost = host.includes(":") ? `[${host}]` : host === "0.0.0.0" ? "127.0.0.1" : host;
  const url = `http://${urlHost}:${server.port}`;
  log.info("embedded chain is up", { url, chainId, block: chain.head().number });
  return { url, wsUrl: url.replace("http", "ws"), chainId, close };
}
