/**
 * Throughput and memory of the embedded chain, in a process of its own: contract transactions (five storage slots and an event, about
 * 123,000 gas) signed beforehand, sent by several senders at once over HTTP, each acknowledged when durable; then one at a time.
 *
 *   node benchmarks/chain.ts [--transactions 4000] [--senders 8] [--blocks 10000]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
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
    serve: { type: "string" },
    transactions: { type: "string", default: "4000" },
    senders: { type: "string", default: "8" },
    blocks: { type: "string", default: "10000" },
  },
});
type Served = { url: string; startMs: number };
type Usage = { rssMb: number; cpuMs: number };

/** The child: runs the chain, tells its memory and processor time when asked, stops when the parent lets go. */
async function serve(dataDir: string, alloc: Record<string, bigint>): Promise<void> {
  const startedMs = performance.now();
  const chain = await startEmbeddedChain({ dataDir, alloc });
  process.send!({ url: chain.url, startMs: performance.now() - startedMs } satisfies Served);
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send!({
      rssMb: Math.round(process.memoryUsage().rss / 2 ** 20),
      cpuMs: (user + system) / 1e3,
    } satisfies Usage);
  });
  process.on("disconnect", () => void chain.close().then(() => process.exit()));
}
if (values.serve !== undefined) {
  const { dataDir, addresses } = JSON.parse(values.serve) as { dataDir: string; addresses: string[] };
  await serve(dataDir, Object.fromEntries(addresses.map((address) => [address, parseEther("1000000")])));
  await new Promise<never>(() => undefined);
}

const transactions = Number(values.transactions);
const blocks = Number(values.blocks);
const accounts = Array.from({ length: Number(values.senders) }, () =>
  privateKeyToAccount(generatePrivateKey()),
);
const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-chain-bench-"));
const addresses = accounts.map(({ address }) => address);
const start = async () => {
  const child = fork(import.meta.filename, ["--serve", JSON.stringify({ dataDir, addresses })]);
  const [served] = (await once(child, "message")) as [Served];
  return { child, ...served };
};
let chain = await start();
const usage = async (): Promise<Usage> => {
  chain.child.send("usage");
  return ((await once(chain.child, "message")) as [Usage])[0];
};
const rssMb = async (): Promise<number> => (await usage()).rssMb;
const stop = async (): Promise<void> => {
  chain.child.disconnect();
  await once(chain.child, "exit");
};
console.log(`new chain: up in ${Math.round(chain.startMs)} ms, RSS ${await rssMb()} MB`);
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
    chainId: 31_337,
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
const idle = await usage();
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
const busy = await usage();
const concurrentBlocks = Number(await rpc("eth_blockNumber", []));
console.log(
  `concurrent: ${transactions} transactions in ${concurrentBlocks} blocks, ${Math.round((transactions / elapsedMs) * 1e3)} tx/s, ${((busy.cpuMs - idle.cpuMs) / transactions).toFixed(2)} ms of processor time each, RSS ${busy.rssMb} MB`,
);

const serial: number[] = [];
for (let made = concurrentBlocks; made < blocks; made++) {
  const raw = await store(first);
  const sentMs = performance.now();
  await rpc("eth_sendRawTransaction", [raw]);
  serial.push(performance.now() - sentMs);
  if (made % 2_000 === 0) {
    const recent = serial.slice(-500).sort((a, b) => a - b);
    console.log(
      `block ${made}: median ${recent[recent.length >> 1]!.toFixed(1)} ms per transaction, RSS ${await rssMb()} MB`,
    );
  }
}

const height = Number(await rpc("eth_blockNumber", []));
await stop();
const sizeMb = Math.round(statSync(join(dataDir, "chain.sqlite")).size / 2 ** 20);
chain = await start();
const again = Number(await rpc("eth_blockNumber", []));
if (again !== height) throw new Error(`block ${again} after the restart, ${height} before`);
console.log(
  `restart at block ${height}: up in ${Math.round(chain.startMs)} ms; ${sizeMb} MB on disk, RSS ${await rssMb()} MB`,
);
await stop();
rmSync(dataDir, { recursive: true });
