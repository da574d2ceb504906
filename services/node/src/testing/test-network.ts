/** For tests: a real chain with the contracts, a real relay, wallets with funds, and an application that pays for tasks. */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type AddressBook,
  type Chain,
  connectChain,
  connectRpc,
  createSender,
  memoryOutbox,
  transferCall,
} from "@hydrogen/chain";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import { createKeystore, deployNetwork, type NetworkParameters } from "@hydrogen/chain/node";
import { taskHash } from "@hydrogen/protocol";
import { type Relay, startRelay } from "@hydrogen/relay";
import {
  createRelayClient,
  createTaskClient,
  type RelayClient,
  type TaskHooks,
  type TaskOutcome,
} from "@hydrogen/sdk";
import { type Hex, isHydrogenError, systemClock, waitFor } from "@hydrogen/std";
import { createLogger, type Logger, silentLogger } from "@hydrogen/telemetry";
import { type LocalAccount, parseEther } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { type NodeConfig, type NodeConfigInput, parseNodeConfig } from "../config.ts";
import { type NodeDeps, type RunningNode, startNode } from "../node.ts";
import { installTinyModel, tinyArgs } from "./tiny-model.ts";

export type TestNetwork = {
  readonly dir: string;
  readonly chain: Chain;
  readonly addresses: AddressBook;
  readonly pool: Hex;
  readonly application: LocalAccount;
  readonly nodes: readonly TestNode[];
  relay: Relay;
  /** Waits until the node with this index has joined. */
  joined(...indices: number[]): Promise<void>;
  /** Pays for a task and takes it to its end. */
  runTask(argsText?: string, hooks?: TaskHooks): Promise<TaskOutcome>;
  /** Pays for a task and hands its args to the relay, no more. Returns its id. */
  createTask(argsText?: string, options?: { withArgs?: boolean; draw?: boolean }): Promise<bigint>;
  draw(taskId: bigint): Promise<void>;
  relayClient: RelayClient;
  giveCnx(to: Hex, amountWei: bigint): Promise<void>;
  /** Moves the block clock. */
  passTime(seconds: number): Promise<void>;
  /** The application no longer cares for the transactions it has sent. */
  forgetApplication(): void;
  snapshot(): Promise<string>;
  /** Reorganises the chain: drops every block since the snapshot. */
  revert(snapshot: string): Promise<void>;
  restartRelay(): Promise<void>;
  until<T>(probe: () => Promise<T | undefined | false>, timeoutMs?: number): Promise<T>;
};

export type TestNode = {
  readonly address: Hex;
  readonly config: NodeConfig;
  readonly configInput: NodeConfigInput;
  readonly configPath: string;
  /** In this process. */
  start(deps?: NodeDeps, config?: NodeConfig): Promise<RunningNode>;
  /** In a process of its own, which dies at a crash point if one is given. */
  spawn(crashPoint?: string): SpawnedNode;
};

export type SpawnedNode = {
  /** The local API's address, once it is up. */
  readonly apiUrl: Promise<string>;
  /** Resolves when the process is gone, with the signal that ended it. */
  readonly exited: Promise<string | null>;
  kill(): void;
};

const ether = parseEther("1");
const password = "correct horse";

/** Set HYDROGEN_TEST_LOG=1 to see what the nodes do. */
export function testLog(name: string): Logger {
  return process.env.HYDROGEN_TEST_LOG === undefined
    ? silentLogger
    : createLogger({ level: "debug", format: "text" }).child({ name });
}

export async function startTestNetwork(
  t: Pick<TestContext, "after">,
  options: {
    nodes?: number;
    parameters?: NetworkParameters;
    /** CNX of each node; default 1,000. */
    nodeCnx?: bigint;
    config?: Partial<NodeConfigInput>;
  } = {},
): Promise<TestNetwork> {
  const open = new AsyncDisposableStack();
  t.after(() => open.disposeAsync());
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-node-"));
  open.defer(() => rmSync(dir, { recursive: true, force: true }));
  await installTinyModel(join(dir, "models"));

  const [deployer, pool, application] = [newAccount(), newAccount(), newAccount()];
  const embedded = await startEmbeddedChain({
    alloc: { [deployer.address]: 1_000n * ether, [application.address]: 1_000n * ether },
    dev: true,
  });
  open.defer(embedded.close);
  const rpc = await connectRpc({ rpcUrl: embedded.url, wsUrl: embedded.wsUrl });
  open.defer(rpc.close);
  const stop = new AbortController();
  open.defer(() => stop.abort());
  const sender = createSender(
    { chain: rpc, account: deployer, outbox: memoryOutbox() },
    { signal: stop.signal },
  );
  const addresses = await deployNetwork({
    rpc,
    sender,
    pool: pool.address,
    parameters: options.parameters,
  });
  const chain = await connectChain({ rpcUrl: embedded.url, wsUrl: embedded.wsUrl, addresses });
  open.defer(chain.close);

  const relayDir = join(dir, "relay");
  const relayConfig = { dataDir: relayDir, rpcUrl: embedded.url, wsUrl: embedded.wsUrl, addresses };
  const network = { relay: await startRelay(relayConfig, { log: silentLogger }) };
  open.defer(() => network.relay.close());
  const relayPort = Number(new URL(network.relay.url).port);

  const give = async (to: Hex, cnxWei: bigint) => {
    await sender.submit({ key: `gas:${to}`, call: transferCall(to, 10n * ether), gas: 21_000n });
    await sender.submit({ key: `cnx:${to}`, call: chain.calls.token.transfer(to, cnxWei), gas: 100_000n });
  };
  await give(application.address, 10_000n * ether);
  const nodes: TestNode[] = [];
  for (let index = 0; index < (options.nodes ?? 3); index++) {
    const keystorePath = join(dir, `node-${index}.json`);
    const { address } = await createKeystore(keystorePath, password, { scryptN: 1024 });
    await give(address, options.nodeCnx ?? 1_000n * ether);
    const configInput: NodeConfigInput = {
      dataDir: `node-${index}`,
      rpcUrl: embedded.url,
      wsUrl: embedded.wsUrl,
      addresses: { ...addresses, deployedBlock: Number(addresses.deployedBlock) },
      relayUrl: network.relay.url,
      keystore: { path: keystorePath, passwordEnv: "NODE_PASSWORD" },
      gpuName: "CPU",
      vramGb: 8,
      modelsDirs: ["models"],
      engine: { threads: 1, preload: false },
      api: { port: 0 },
      ...options.config,
    };
    const config = parseNodeConfig(configInput, dir);
    const configPath = join(dir, `node-${index}.config.json`);
    writeFileSync(configPath, JSON.stringify(configInput));
    nodes.push({
      address,
      config,
      configInput,
      configPath,
      start: async (deps = {}, otherConfig = config) => {
        const node = await startNode(otherConfig, {
          log: testLog(`node-${index}`),
          environment: { NODE_PASSWORD: password },
          ...deps,
        });
        open.defer(node.close);
        return node;
      },
      spawn: (crashPoint) => {
        const child = fork(
          fileURLToPath(new URL("./crash-main.ts", import.meta.url)),
          [configPath, ...(crashPoint === undefined ? [] : [crashPoint])],
          {
            env: { ...process.env, NODE_PASSWORD: password },
            stdio: "inherit",
          },
        );
        const exited = new Promise<string | null>((resolve) =>
          child.once("exit", (_code, signal) => resolve(signal)),
        );
        const kill = () => void child.kill("SIGKILL");
        open.defer(async () => {
          kill();
          await exited;
        });
        const apiUrl = new Promise<string>((resolve) =>
          child.once("message", (message) => resolve((message as { apiUrl: string }).apiUrl)),
        );
        return { apiUrl, exited, kill };
      },
    });
  }
  await sender.idle();

  const newAppSender = () => {
    const until = new AbortController();
    const options = { chain: rpc, account: application, outbox: memoryOutbox() };
    const created = createSender(options, { signal: AbortSignal.any([stop.signal, until.signal]) });
    return { ...created, stop: () => until.abort() };
  };
  let appSender = newAppSender();
  const relayClient = createRelayClient(
    { url: network.relay.url, chainId: chain.chainId, taskContract: addresses.task },
    { signer: application },
  );
  const client = createTaskClient({
    chain,
    sender: { address: application.address, send: (...args) => appSender.send(...args) },
    relay: relayClient,
  });
  const until: TestNetwork["until"] = (probe, timeoutMs = 120_000) =>
    waitFor(probe, { clock: systemClock, signal: AbortSignal.timeout(timeoutMs), intervalMs: 50 });
  let tasks = 0;
  const draw = async (taskId: bigint): Promise<void> => {
    await appSender.send({ key: `draw-${taskId}`, call: chain.calls.task.drawNodes(taskId) });
  };

  return Object.assign(network, {
    dir,
    chain,
    addresses,
    pool: pool.address,
    application,
    nodes,
    relayClient,
    draw,
    giveCnx: async (to: Hex, amountWei: bigint) => {
      await sender.send({ key: `more:${to}`, call: chain.calls.token.transfer(to, amountWei) });
    },
    until,
    joined: async (...indices: number[]) => {
      await until(async () => {
        const statuses = await Promise.all(indices.map((i) => chain.node.getNodeStatus(nodes[i]!.address)));
        return statuses.every((status) => status !== 0);
      });
    },
    runTask: (argsText = tinyArgs(), hooks = {}) =>
      client.run(
        { key: `task-${tasks++}`, taskType: 0, argsText, vramLimit: 4 },
        { signal: AbortSignal.timeout(200_000), ...hooks },
      ),
    createTask: async (argsText = tinyArgs(), { withArgs = true, draw: wantsDraw = true } = {}) => {
      const key = `task-${tasks++}`;
      const { task, token } = chain.calls;
      const feeWei = await chain.task.taskFee();
      await appSender.send({ key: `${key}:approve`, call: token.approve(addresses.task, feeWei) });
      const call = task.createTask(0n, taskHash(argsText), `0x${"00".repeat(32)}`, 4n);
      const { receipt } = await appSender.send({ key, call });
      const created = chain.eventsIn(receipt).find((event) => event.name === "TaskPending");
      const { taskId } = created!.args as { taskId: bigint };
      if (withArgs) await uploadArgs(taskId, argsText);
      if (wantsDraw) await draw(taskId);
      return taskId;
    },
    passTime: async (seconds: number) => {
      for (const [method, params] of [
        ["evm_increaseTime", [seconds]],
        ["evm_mine", []],
      ] as const)
        await rpc.request({ method, params } as never);
    },
    forgetApplication: () => {
      appSender.stop();
      appSender = newAppSender();
    },
    snapshot: async () => String(await rpc.request({ method: "evm_snapshot" } as never)),
    revert: async (snapshot: string) => {
      await rpc.request({ method: "evm_revert", params: [snapshot] } as never);
    },
    restartRelay: async () => {
      network.relay = await startRelay({ ...relayConfig, port: relayPort }, { log: silentLogger });
    },
  });

  async function uploadArgs(taskId: bigint, argsText: string): Promise<void> {
    await until(() =>
      relayClient.uploadArgs(taskId, argsText).then(
        () => true,
        (error) => {
          if (isHydrogenError(error) && error.retryable) return false;
          throw error;
        },
      ),
    );
  }
}

function newAccount(): LocalAccount {
  return privateKeyToAccount(generatePrivateKey());
}
