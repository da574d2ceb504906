/**
 * How many tasks per second everything but the engine can carry: embedded chain, contracts, relay, nodes and one
 * application in a single process, on disk, with an engine that returns a ready picture at once. Tasks are submitted
 * as fast as there are nodes for them.
 *
 *   node benchmarks/throughput.ts [--nodes 12] [--tasks 60]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { connectChain, connectRpc, createSender, memoryOutbox } from "@hydrogen/chain";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import { createKeystore, deployNetwork } from "@hydrogen/chain/node";
import { encodePng } from "@hydrogen/diffusion";
import { type Engine, parseNodeConfig, startNode } from "@hydrogen/node";
import { imagesResult, keccak256 } from "@hydrogen/protocol";
import { startRelay } from "@hydrogen/relay";
import { createRelayClient, createTaskClient } from "@hydrogen/sdk";
import { bytesToHex, systemClock, waitFor } from "@hydrogen/std";
import { sdTaskArgsFor } from "@hydrogen/tasks";
import { silentLogger as log } from "@hydrogen/telemetry";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";

const { values } = parseArgs({
  options: { nodes: { type: "string", default: "12" }, tasks: { type: "string", default: "60" } },
});
const nodeCount = Number(values.nodes);
const taskCount = Number(values.tasks);
const ether = 10n ** 18n;
const dir = mkdtempSync(join(tmpdir(), "hydrogen-bench-"));
const keys = Array.from({ length: nodeCount + 1 }, () => generatePrivateKey());
const accounts = keys.map((key) => privateKeyToAccount(key));
const application = accounts[0]!;

const alloc = Object.fromEntries(accounts.map(({ address }) => [address, 100n * ether]));
const evm = await startEmbeddedChain({ dataDir: join(dir, "chain"), alloc });
const rpc = await connectRpc({ rpcUrl: evm.url });
const sender = createSender({ chain: rpc, account: application, outbox: memoryOutbox() });
const pool = privateKeyToAccount(generatePrivateKey()).address;
const addresses = await deployNetwork({ rpc, sender, pool });
const chain = await connectChain({ rpcUrl: evm.url, wsUrl: evm.wsUrl, addresses });
const book = { ...addresses, deployedBlock: Number(addresses.deployedBlock) };
const network = { rpcUrl: evm.url, wsUrl: evm.wsUrl, addresses: book };
const relay = await startRelay({ ...network, dataDir: join(dir, "relay") }, { log });

const picture = encodePng({
  widthPx: 64,
  heightPx: 64,
  rgb: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => i * 7),
});
const instant: Engine = {
  state: () => ({ status: "idle", pid: undefined, fingerprint: "instant", crashes: 0, lastError: undefined }),
  start: async () => "instant",
  load: async () => undefined,
  run: async ({ outputDir }) => {
    await writeFile(join(outputDir, "0.png"), picture);
    const files = [{ name: "0.png", keccak256: keccak256(picture) }];
    return { result: bytesToHex(imagesResult([picture])), files, fingerprint: "instant" };
  },
  close: async () => undefined,
};
process.env.BENCH_PASSWORD = "benchmark";
const nodes = await Promise.all(
  accounts.slice(1).map(async ({ address }, i) => {
    const call = chain.calls.token.transfer(address, 400n * ether);
    await sender.send({ key: `grant:${i}`, call });
    const path = join(dir, `wallet-${i}.json`);
    await createKeystore(path, "benchmark", { privateKey: keys[i + 1]!, scryptN: 1024 });
    const config = {
      ...network,
      dataDir: join(dir, `node-${i}`),
      relayUrl: relay.url,
      keystore: { path, passwordEnv: "BENCH_PASSWORD" },
      gpuName: "instant",
      vramGb: 8,
      modelsDirs: [dir],
      engine: { preload: false as const },
      api: { port: 0 },
    };
    return startNode(parseNodeConfig(config, dir), { log, engine: instant });
  }),
);
await waitFor(async () => (await chain.node.availableNodes()) === BigInt(nodeCount), { clock: systemClock });

const relayClient = createRelayClient(
  { url: relay.url, chainId: chain.chainId, taskContract: addresses.task },
  { signer: application },
);
const client = createTaskClient({ chain, sender, relay: relayClient });
const { text: argsText } = sdTaskArgsFor({
  model: "benchmark/instant",
  prompt: "x",
  seed: 1,
  widthPx: 64,
  heightPx: 64,
  steps: 1,
  cfg: 1,
});
const latenciesMs: number[] = [];
let next = 0;
const startedMs = performance.now();
await Promise.all(
  Array.from({ length: Math.floor(nodeCount / 3) }, async () => {
    while (next < taskCount) {
      const key = `task:${next++}`;
      const fromMs = performance.now();
      await client.run({ key, taskType: 0, argsText, vramLimit: 4 });
      latenciesMs.push(performance.now() - fromMs);
    }
  }),
);
const seconds = (performance.now() - startedMs) / 1000;
latenciesMs.sort((a, b) => a - b);
console.log(
  `${taskCount} tasks on ${nodeCount} nodes in ${seconds.toFixed(1)} s: ${(taskCount / seconds).toFixed(2)} tasks/s`,
);
console.log(
  `latency: median ${latenciesMs[taskCount >> 1]!.toFixed(0)} ms, max ${latenciesMs.at(-1)!.toFixed(0)} ms`,
);
console.log(
  `resident memory: ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB; blocks: ${await chain.blockNumber()}`,
);
await Promise.all(nodes.map((node) => node.close()));
await relay.close();
chain.close();
rpc.close();
await evm.close();
rmSync(dir, { recursive: true });
process.exit(0);
