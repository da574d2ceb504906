/**
 * The whole network on this machine: chain, contracts, relay, nodes, bridge, each in a process of its own.
 * Everything it knows is in one directory; starting there again takes up the same network.
 */
import { fileURLToPath } from "node:url";
import type { Chain } from "@hydrogen/chain";
import { type Clock, formatDuration, isHydrogenError, systemClock, waitFor } from "@hydrogen/std";
import { lockDirectory } from "@hydrogen/storage";
import { createShutdown, type Logger } from "@hydrogen/telemetry";
import { privateKeyToAccount } from "viem/accounts";
import { bootstrap } from "./bootstrap.ts";
import type { ChainConfigFile } from "./chain-main.ts";
import { devnetError } from "./errors.ts";
import { devnetLayout, type Layout, type NetworkFile, writeFileAtomic } from "./layout.ts";
import { answers, createManagedProcess, type ManagedProcess } from "./managed-process.ts";
import { networkPorts, type Ports } from "./ports.ts";
import { type Behaviour, url, writeServiceConfigs } from "./service-configs.ts";
import { openWallets } from "./wallets.ts";

export type DevnetOptions = {
  dataDir: string;
  modelsDirs: readonly string[];
  /** Default 3, the fewest a task needs. */
  nodes?: number;
  /** Of the embedded chain. Default: a block as soon as a transaction waits. */
  blockTimeSec?: number;
  /** Another chain than the embedded one. The deployer must hold its native currency; it pays for everything. */
  chain?: { rpcUrl: string; wsUrl?: string; deployerKey: `0x${string}` };
  /** Nodes that misbehave, by index. */
  behaviours?: Readonly<Record<number, Behaviour>>;
  /** Contract parameters that differ from the defaults; they count at the first start only. */
  parameters?: Readonly<Record<string, bigint>>;
  /** Take any free ports instead of the usual ones: for several networks on one machine. */
  anyPort?: boolean;
  /** Web origins that may call chain, relay and bridge. */
  corsOrigins?: readonly string[];
  engineThreads?: number;
};

export type DevnetDeps = {
  log: Logger;
  clock?: Clock;
  /** Called as each part becomes ready. */
  onProgress?: (text: string) => void;
  signal?: AbortSignal;
};

export type Devnet = {
  readonly network: NetworkFile;
  readonly chain: Chain;
  readonly layout: Layout;
  /** By name: chain, relay, bridge, node-0 … */
  process(name: string): ManagedProcess;
  /** Stops everything in order; the network can be started again. */
  close(): Promise<void>;
};

const embeddedChainId = 31_337;
const ether = 10n ** 18n;
const genesisNativeWei = 1_000n * ether;
/** On another chain: gas for some thousand tasks at a few gwei. */
const nativeGrantWei = ether;
const bridgeGrantWei = 1_000_000n * ether;
const nodeGrantWei = 1_000n * ether;

/**
 * Starts the network in `dataDir`, making it if there is none; resolves when it can take tasks.
 *
 * @throws DEVNET_RUNNING, DEVNET_PROCESS_FAILED, DEVNET_NOT_READY, and the chain's errors
 */
export async function startDevnet(options: DevnetOptions, deps: DevnetDeps): Promise<Devnet> {
  const { log, clock = systemClock, onProgress = () => undefined } = deps;
  const layout = devnetLayout(options.dataDir);
  const shutdown = createShutdown(log);
  const signal =
    deps.signal === undefined ? shutdown.signal : AbortSignal.any([deps.signal, shutdown.signal]);
  const startedMs = clock.nowMs();
  const progress = (text: string) => onProgress(`${text}  (${formatDuration(clock.nowMs() - startedMs)})`);
  try {
    shutdown.onClose("lock", lock(layout.dataDir));
    const ports = await networkPorts(
      layout,
      { nodes: options.nodes ?? 3, anyPort: options.anyPort ?? false },
      { clock, signal },
    );
    const nodeNames = ports.nodes.map((_, index) => `node-${index}`);
    const wallets = await openWallets(layout, ["deployer", "pool", "bridge", ...nodeNames]);
    const addressOf = (name: string) => wallets.get(name)!.address;

    const processes = createProcesses(layout, ports, nodeNames, { clock, log });
    const start = async (name: string) => {
      const part = processes.get(name)!;
      shutdown.onClose(name, () => part.stop());
      await part.start(signal);
    };

    const others = ["bridge", ...nodeNames].map(addressOf);
    const { rpcUrl, wsUrl } = options.chain ?? {
      rpcUrl: url(ports.chain),
      wsUrl: `ws://127.0.0.1:${ports.chain}`,
    };
    if (options.chain === undefined) {
      writeChainConfig(
        layout,
        ports,
        options,
        [...wallets.values()].map(({ address }) => address),
      );
      await start("chain");
    }
    progress(`chain on ${rpcUrl}`);

    const deployer =
      options.chain === undefined ? wallets.get("deployer")! : privateKeyToAccount(options.chain.deployerKey);
    const { addresses, chain } = await bootstrap(
      {
        layout,
        rpcUrl,
        deployer,
        pool: addressOf("pool"),
        grants: new Map(others.map((address, i) => [address, i === 0 ? bridgeGrantWei : nodeGrantWei])),
        nativeGrants: new Map(
          options.chain === undefined ? [] : others.map((address) => [address, nativeGrantWei]),
        ),
        parameters: options.parameters ?? {},
      },
      { clock, log, signal },
    );
    shutdown.onClose("chain client", () => chain.close());
    progress(`contracts at ${addresses.task}`);

    writeServiceConfigs({
      layout,
      ports,
      addresses,
      rpcUrl,
      wsUrl,
      modelsDirs: options.modelsDirs,
      behaviours: options.behaviours ?? {},
      budgetWei: bridgeGrantWei,
      corsOrigins: options.corsOrigins ?? [],
      engineThreads: options.engineThreads ?? 0,
    });
    await start("relay");
    progress(`relay on ${url(ports.relay)}`);
    await Promise.all(nodeNames.map(start));
    const absent = await nodesOutside(ports, { clock, signal });
    progress(`${nodeNames.length - absent.length} nodes, staked and waiting for tasks`);
    for (const { index, why } of absent) progress(`node-${index} is not in the network: ${why}`);
    await start("bridge");
    progress(`bridge on ${url(ports.bridge)}`);

    const network: NetworkFile = {
      chainId: addresses.chainId,
      rpcUrl,
      relayUrl: url(ports.relay),
      bridgeUrl: url(ports.bridge),
      nodes: nodeNames.map((name, i) => ({ name, address: addressOf(name), apiUrl: url(ports.nodes[i]!) })),
      addresses: { ...addresses, deployedBlock: Number(addresses.deployedBlock) },
      wallets: Object.fromEntries([...wallets].map(([name, { address }]) => [name, address])),
    };
    writeFileAtomic(layout.network, `${JSON.stringify(network, null, 2)}\n`);
    return {
      network,
      chain,
      layout,
      process: (name) => processes.get(name)!,
      close: () => shutdown.close("closed"),
    };
  } catch (error) {
    await shutdown.close("start failed");
    throw error;
  }
}

/** @throws DEVNET_RUNNING */
function lock(dataDir: string): () => void {
  try {
    return lockDirectory(dataDir);
  } catch (error) {
    if (isHydrogenError(error, "STORAGE_IN_USE")) throw devnetError("DEVNET_RUNNING", { dataDir }, error);
    throw error;
  }
}

type NodeState = { status?: string; desired: string; membership?: { kind: string } };

const joinTimeoutMs = 90_000;

/**
 * Waits until every node has joined or says what keeps it from joining; returns the latter.
 * @throws DEVNET_NOT_READY
 */
async function nodesOutside(
  ports: Ports,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<{ index: number; why: string }[]> {
  const giveUpMs = clock.nowMs() + joinTimeoutMs;
  const outcomeOf = async (port: number, index: number) => {
    const response = await fetch(`${url(port)}/v1/status`, { signal }).catch(() => undefined);
    if (!response?.ok) return undefined;
    const { status, desired, membership } = ((await response.json()) as { data: NodeState }).data;
    if (status !== undefined && status !== "Quit") return "joined" as const;
    if (status === "Quit" && desired === "stopped") return { index, why: "its operator told it to quit" };
    if (membership !== undefined && ["removed", "fundsMissing"].includes(membership.kind))
      return {
        index,
        why: membership.kind === "removed" ? "it was removed or slashed" : "it lacks the stake",
      };
    return undefined;
  };
  return waitFor(
    async () => {
      const outcomes = await Promise.all(ports.nodes.map(outcomeOf));
      const waiting = outcomes.indexOf(undefined);
      if (waiting < 0) return outcomes.filter((outcome) => typeof outcome === "object");
      if (clock.nowMs() > giveUpMs) throw devnetError("DEVNET_NOT_READY", { name: `node-${waiting}` });
      return undefined;
    },
    { clock, signal, intervalMs: 200 },
  );
}

function createProcesses(
  layout: Layout,
  ports: Ports,
  nodeNames: readonly string[],
  deps: { clock: Clock; log: Logger },
): Map<string, ManagedProcess> {
  const part = (name: string, specifier: string, isReady: () => Promise<boolean>) =>
    createManagedProcess(
      {
        name,
        script: fileURLToPath(import.meta.resolve(specifier)),
        args: [layout.config(name)],
        logFile: layout.log(name),
        isReady,
      },
      deps,
    );
  const parts = [
    part("chain", "./chain-main.ts", () => chainAnswers(url(ports.chain))),
    part("relay", "@hydrogen/relay/main", () => answers(`${url(ports.relay)}/health`)),
    part("bridge", "@hydrogen/bridge/main", () => answers(`${url(ports.bridge)}/health`)),
    ...nodeNames.map((name, i) =>
      part(name, "@hydrogen/node/main", () => answers(`${url(ports.nodes[i]!)}/health`)),
    ),
  ];
  return new Map(parts.map((managed) => [managed.name, managed]));
}

async function chainAnswers(rpcUrl: string): Promise<boolean> {
  try {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
    const headers = { "content-type": "application/json" };
    return (await fetch(rpcUrl, { method: "POST", body, headers, signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

function writeChainConfig(
  layout: Layout,
  ports: Ports,
  options: DevnetOptions,
  wallets: readonly string[],
): void {
  const config: ChainConfigFile = {
    dataDir: layout.chain,
    port: ports.chain,
    chainId: embeddedChainId,
    ...(options.blockTimeSec === undefined ? {} : { blockTimeSec: options.blockTimeSec }),
    allowedOrigins: [...(options.corsOrigins ?? [])],
    alloc: Object.fromEntries(wallets.map((address) => [address, genesisNativeWei.toString()])),
  };
  writeFileAtomic(layout.config("chain"), `${JSON.stringify(config, null, 2)}\n`, 0o600);
}
