/** A chain in memory (or a directory) with funded accounts and viem clients, closed when the test ends. */
import type { TestContext } from "node:test";
import {
  type Account,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  type PublicClient,
  parseEther,
  type TransactionReceipt,
  webSocket,
} from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { type EmbeddedChainDeps, type EmbeddedChainOptions, startEmbeddedChain } from "../index.ts";
import { probeAbi, probeBytecode } from "./probe.ts";

export const accounts = ["11", "22", "33"].map((byte) => privateKeyToAccount(`0x${byte.repeat(32)}`));
export const [alice, bob, carol] = accounts as [PrivateKeyAccount, PrivateKeyAccount, PrivateKeyAccount];
export const alloc = Object.fromEntries(accounts.map(({ address }) => [address, parseEther("1000")]));

export type RpcAnswer = { result?: unknown; error?: { code: number; message: string; data?: string } };

export async function startTestChain(
  t: TestContext,
  options: Partial<EmbeddedChainOptions> = {},
  deps: EmbeddedChainDeps = {},
) {
  const node = await startEmbeddedChain({ alloc, ...options }, deps);
  t.after(() => node.close());
  return { node, ...clientsOf(node.url, node.wsUrl, node.chainId) };
}

export function clientsOf(url: string, wsUrl: string, chainId: number) {
  const chain = defineChain({
    id: chainId,
    name: "test",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [url], webSocket: [wsUrl] } },
  });
  const client: PublicClient = createPublicClient({
    chain,
    transport: http(url, { retryCount: 0 }),
    pollingInterval: 20,
  });
  const wallet = (account: Account) =>
    createWalletClient({ account, chain, transport: http(url, { retryCount: 0 }) });
  const receiptOf = (hash: Hex): Promise<TransactionReceipt> => client.waitForTransactionReceipt({ hash });
  return {
    client,
    wallet,
    receiptOf,
    overWebSocket: () =>
      createPublicClient({ chain, transport: webSocket(wsUrl, { reconnect: false, retryCount: 0 }) }),
    rpc: (method: string, params: unknown[] = []): Promise<RpcAnswer> =>
      post(url, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })) as Promise<RpcAnswer>,
    /** Signs without asking the chain for anything. */
    sign: (
      account: PrivateKeyAccount,
      nonce: number,
      call: { to?: Hex | null; data?: Hex; value?: bigint; gas?: bigint; feeWei?: bigint },
    ): Promise<Hex> =>
      account.signTransaction({
        type: "eip1559",
        chainId,
        nonce,
        to: call.to,
        data: call.data,
        value: call.value ?? 0n,
        gas: call.gas ?? 300_000n,
        maxFeePerGas: call.feeWei ?? 2_000_000_000n,
        maxPriorityFeePerGas: call.feeWei === undefined ? 0n : call.feeWei / 2n,
      } as never),
    deployProbe: async (): Promise<Hex> => {
      const hash = await wallet(alice).deployContract({ abi: probeAbi, bytecode: probeBytecode });
      return (await receiptOf(hash)).contractAddress!;
    },
  };
}

export async function post(
  url: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return response.json();
}
