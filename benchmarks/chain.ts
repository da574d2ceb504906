/**
 * Throughput and memory of the embedded chain: contract transactions (two accounts' worth of storage writes and an event, about
 * 110k gas) signed beforehand, sent by several senders at once over HTTP, each acknowledged when durable.
 *
 *   node benchmarks/chain.ts [--transactions 4000] [--senders 8] [--blocks 10000]
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeFunctionData, type Hex, pad, parseEther } from "viem";
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { startEmbeddedChain } from "../packages/chain/src/embedded/index.ts";
import { probeAbi, probeBytecode } from "../packages/chain/src/embedded/testing/probe.ts";

const { values } = parseArgs({
  options: {
    transactions: { type: "string", default: "4000" },
    senders: { type: "string", default: "8" },
    blocks: { type: "string", default: "10000" },
  },
});
const transactions = Number(values.transactions);
const blocks = Number(values.blocks);
const accounts = Array.from({ length: Number(values.senders) }, () =>
  privateKeyToAccount(generatePrivateKey()),
);
const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-chain-bench-"));
const alloc = Object.fromEntries(accounts.map(({ address }) => [address, parseEther("1000000")]));
const rssMb = () => Math.round(process.memoryUsage().rss / 2 ** 20);

let chain = await startEmbeddedChain({ dataDir, alloc });
const rpc = async (method: string, params: unknown[]): Promise<unknown> => {
  const response = await fetch(chain.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = (await response.json()) as { result?: unknown; error?: { message: string } };
  if (error !== undefined) throw new Error(error.message);
  return result;
};
const sign = (account: PrivateKeyAccount, nonce: number, call: { to?: Hex; data: Hex; gas: bigint }) =>
  account.signTransaction({
    type: "eip1559",
    chainId: chain.chainId,
    maxFeePerGas: 2_000_000_000n,
    maxPriorityFeePerGas: 0n,
    nonce,
    ...call,
  });

const first = accounts[0]!;
const nonces = new Map(accounts.map((account) => [account, 0]));
const next = (account: PrivateKeyAccount): number => {
  const nonce = nonces.get(account)!;
  nonces.set(account, nonce + 1);
  return nonce;
};
const deployed = await rpc("eth_sendRawTransaction", [
  await sign(first, next(first), { data: probeBytecode, gas: 2_000_000n }),
]);
const { contractAddress: to } = (await rpc("eth_getTransactionReceipt", [deployed])) as {
  contractAddress: Hex;
};
const store = (account: PrivateKeyAccount) => {
  const nonce = next(account);
  const data = encodeFunctionData({
    abi: probeAbi,
    functionName: "store",
    args: [pad(`0x${nonce.toString(16)}`)],
  });
  return sign(account, nonce, { to, data, gas: 250_000n });
};

const signed = await Promise.all(
  accounts.map((account) =>
    Promise.all(Array.from({ length: transactions / accounts.length }, () => store(account))),
  ),
);
const startMs = performance.now();
// Each sender keeps eight transactions in the air.
await Promise.all(
  signed.map(async (list) => {
    for (let i = 0; i < list.length; i += 8) {
      await Promise.all(list.slice(i, i + 8).map((raw) => rpc("eth_sendRawTransaction", [raw])));
    }
  }),
);
const elapsedMs = performance.now() - startMs;
const concurrentBlocks = Number(await rpc("eth_blockNumber", []));
console.log(
  `concurrent: ${transactions} transactions in ${concurrentBlocks} blocks, ${Math.round((transactions / elapsedMs) * 1e3)} tx/s, RSS ${rssMb()} MB`,
);

const serial: number[] = [];
let lastRss = rssMb();
for (let made = concurrentBlocks; made < blocks; made++) {
  const raw = await store(first);
  const sentMs = performance.now();
  await rpc("eth_sendRawTransaction", [raw]);
  serial.push(performance.now() - sentMs);
  if (made % 2_000 === 0) {
    lastRss = rssMb();
    const recent = serial.slice(-500).sort((a, b) => a - b);
    console.log(
      `block ${made}: median ${recent[recent.length >> 1]!.toFixed(1)} ms per transaction, RSS ${lastRss} MB`,
    );
  }
}

const height = Number(await rpc("eth_blockNumber", []));
await chain.close();
const sizeMb = Math.round(statSync(join(dataDir, "chain.sqlite")).size / 2 ** 20);
const restartMs = performance.now();
chain = await startEmbeddedChain({ dataDir, alloc });
const again = Number(await rpc("eth_blockNumber", []));
if (again !== height) throw new Error(`block ${again} after the restart, ${height} before`);
console.log(
  `restart at block ${height}: ${Math.round(performance.now() - restartMs)} ms; ${sizeMb} MB on disk, RSS ${rssMb()} MB`,
);
await chain.close();
rmSync(dataDir, { recursive: true });
