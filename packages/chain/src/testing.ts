/** For this package's tests: the embedded chain with accounts, blocks and reorgs at hand. */
import type { TestContext } from "node:test";
import { type Hex, parseEther, zeroAddress } from "viem";
import { startEmbeddedChain } from "./embedded/index.ts";
import { connectRpc, type EvmRpc } from "./rpc.ts";
import { accounts, forward } from "./testing-line.ts";

export * from "./testing-line.ts";

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

/**
 * @param manual blocks are made by `mine` only; else as soon as a transaction waits
 * @param salt makes it another chain than one started in the same second
 */
export async function startTestChain(
  t: Pick<TestContext, "after">,
  { manual = false, salt = 0n }: { manual?: boolean; salt?: bigint } = {},
): Promise<TestChain> {
  const chain = await startEmbeddedChain({
    dev: true,
    alloc: { ...Object.fromEntries(accounts.map(({ address }) => [address, funds])), [zeroAddress]: salt },
    ...(manual && { blockTimeSec: 1_000_000 }),
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
