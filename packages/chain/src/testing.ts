/** For this package's tests: the embedded chain with accounts, blocks and reorgs at hand. */
import type { TestContext } from "node:test";
import { type Clock, systemClock } from "@hydrogen/std";
import { custom, type Hex, type LocalAccount, parseEther, type Transport } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { startEmbeddedChain } from "./embedded/index.ts";
import { connectRpc, type EvmRpc } from "./rpc.ts";

/** Accounts with 100 of native currency each. */
export const accounts: readonly LocalAccount[] = [1, 2, 3, 4].map((n) =>
  privateKeyToAccount(`0x${String(n).repeat(64)}`),
);

export const funds = parseEther("100");

export type TestChain = {
  url: string;
  wsUrl: string;
  rpc: EvmRpc;
  mine(blocks?: number): Promise<void>;
  snapshot(): Promise<string>;
  /** Drops every block since the snapshot, and the transactions in them. */
  revert(snapshot: string): Promise<void>;
  balanceOf(account: { address: Hex }): Promise<bigint>;
  /** Of mined transactions. */
  nonceOf(account: { address: Hex }): Promise<number>;
};

/** @param manual blocks are made by `mine` only; else as soon as a transaction waits */
export async function startTestChain(
  t: Pick<TestContext, "after">,
  { manual = false, dataDir }: { manual?: boolean; dataDir?: string } = {},
): Promise<TestChain> {
  const chain = await startEmbeddedChain({
    dev: true,
    alloc: Object.fromEntries(accounts.map(({ address }) => [address, funds])),
    ...(manual && { blockTimeSec: 1_000_000 }),
    ...(dataDir !== undefined && { dataDir }),
  });
  const rpc = await connectRpc({ rpcUrl: chain.url, pollMs: 20 });
  t.after(async () => {
    rpc.close();
    await chain.close();
  });
  const dev = (method: string, ...params: unknown[]) => forward(chain.url, method, params);
  return {
    url: chain.url,
    wsUrl: chain.wsUrl,
    rpc,
    mine: async (blocks = 1) => {
      for (let i = 0; i < blocks; i++) await dev("evm_mine");
    },
    snapshot: async () => String(await dev("evm_snapshot")),
    revert: async (snapshot) => {
      if ((await dev("evm_revert", snapshot)) !== true) throw new Error("the snapshot is gone");
    },
    balanceOf: async ({ address }) =>
      BigInt(await rpc.request({ method: "eth_getBalance", params: [address, "latest"] })),
    nonceOf: async ({ address }) =>
      Number(await rpc.request({ method: "eth_getTransactionCount", params: [address, "latest"] })),
  };
}

export type Intercept = (
  method: string,
  params: readonly unknown[],
  next: () => Promise<unknown>,
) => Promise<unknown>;

/** A real chain behind a line that can lose, refuse or falsify single requests. */
export function faultyLine(url: string, intercept: Intercept): Transport {
  return custom(
    {
      request: ({ method, params = [] }: { method: string; params?: readonly unknown[] }) =>
        intercept(method, params, () => forward(url, method, params)),
    },
    { retryCount: 0 },
  );
}

/** What viem's HTTP transport throws when nobody listens, seen from a custom one. */
export async function forward(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = (await response.json()) as {
    result?: unknown;
    error?: { code: number; message: string; data?: unknown };
  };
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result;
}

/** Time runs `factor` times faster. */
export function fastClock(factor: number): Clock {
  const startMs = systemClock.nowMs();
  return {
    nowMs: () => startMs + (systemClock.nowMs() - startMs) * factor,
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}
