/** Puts an inference node together: configuration, wallet, journal, engine, loop, local API. */
import { randomBytes } from "node:crypto";
import { connectChain, createFollower, createSender, memoryCursor } from "@hydrogen/chain";
import { sqliteOutbox } from "@hydrogen/chain/node";
import { listModels } from "@hydrogen/models";
import { keccak256, taskHash } from "@hydrogen/protocol";
import { createRelayClient } from "@hydrogen/sdk";
import { type Clock, concatBytes, type Hex, hexToBytes, systemClock, utf8Encode } from "@hydrogen/std";
import { createLogger, createShutdown, type Logger, Metrics } from "@hydrogen/telemetry";
import { privateKeyToAccount } from "viem/accounts";
import { startApi } from "./api.ts";
import { type Behaviour, honest } from "./behaviour.ts";
import { createChainClock } from "./chain-clock.ts";
import { createChainView } from "./chain-view.ts";
import type { NodeConfig } from "./config.ts";
import { openDataDir } from "./data-dir.ts";
import { createEngine, type Engine } from "./engine/engine.ts";
import { createWakeHandler } from "./events.ts";
import { createJanitor } from "./janitor.ts";
import { createJobs } from "./jobs.ts";
import { createJournal } from "./journal.ts";
import { createMembershipActions } from "./membership-actions.ts";
import { createMembershipMemory } from "./memory.ts";
import { createReconciler } from "./reconciler.ts";
import { createNodeMetrics, createStatus } from "./status.ts";
import { createTaskActions } from "./task-actions.ts";
import { createSend } from "./transactions.ts";
import { openWallet } from "./wallet.ts";

export type NodeDeps = {
  clock?: Clock;
  log?: Logger;
  /** Where `keystore.passwordEnv` is looked up; default the process's. */
  environment?: NodeJS.ProcessEnv;
  randomBytes?: (n: number) => Uint8Array;
  /** Default: the diffusion engine in a process of its own. */
  engine?: Engine;
  /** Test networks only. */
  behaviour?: Behaviour;
  /** Called at every point where a crash must lose nothing; whoever passes it may end the process there. */
  faults?: (point: string) => Promise<void> | void;
};

export type RunningNode = {
  readonly address: Hex;
  /** The local API. */
  readonly apiUrl: string;
  /** Ends transactions in flight in an orderly way, interrupts a run (it is repeated at the next start), closes everything. */
  close(): Promise<void>;
};

/** How long the transactions in flight may take to be mined when the node is asked to end. */
const closeGraceMs = 5_000;

/**
 * Starts a node. It joins the network as soon as its wallet holds the stake, unless its operator has stopped it.
 *
 * @throws NODE_PASSWORD_MISSING, KEYSTORE_…, STORAGE_IN_USE, CHAIN_UNREACHABLE, CHAIN_WRONG_ID, NODE_LISTEN_FAILED
 */
export async function startNode(config: NodeConfig, deps: NodeDeps = {}): Promise<RunningNode> {
  const { clock = systemClock, behaviour = honest, environment = process.env } = deps;
  const log = deps.log ?? createLogger({ level: config.log });
  const random = deps.randomBytes ?? ((n: number) => new Uint8Array(randomBytes(n)));
  const reach = async (point: string) => deps.faults?.(point);
  const shutdown = createShutdown(log);
  try {
    const wallet = await openWallet(config.keystore, environment);
    const account = privateKeyToAccount(wallet.privateKey);
    const self = account.address;
    const payout = config.payoutAddress ?? self;
    const data = openDataDir(config);
    shutdown.onClose("data directory", data.close);
    const journal = createJournal(data.db, clock.nowMs);
    const memory = createMembershipMemory(journal);

    const { rpcUrl, wsUrl, addresses } = config;
    const chain = await connectChain({ rpcUrl, wsUrl, addresses }, { clock, log });
    shutdown.onClose("chain", chain.close);
    // Stops after the jobs, which may still wait for their transactions.
    const senderStop = new AbortController();
    shutdown.onClose("sender", () => senderStop.abort());
    const sender = createSender(
      { chain, account, outbox: sqliteOutbox(data.db) },
      { clock, log, signal: senderStop.signal },
    );
    const send = createSend(sender);
    const relay = createRelayClient(
      { url: config.relayUrl, chainId: chain.chainId, taskContract: addresses.task },
      { signer: account, clock, randomBytes: random },
    );

    const engine =
      deps.engine ??
      createEngine(
        {
          settings: {
            modelsDirs: config.modelsDirs,
            cacheDir: data.engineCacheDir,
            threads: config.engine.threads,
          },
          timeoutMs: config.engine.timeoutSec * 1000,
        },
        { clock, log: log.child({ part: "engine" }) },
      );
    shutdown.onClose("engine", engine.close);

    const metrics = new Metrics();
    const nodeMetrics = createNodeMetrics(metrics);
    const chainClock = createChainClock(clock);
    const view = createChainView(chain, self, payout, clock);
    const jobs = createJobs({
      clock,
      log,
      onEnd: () => reconciler.wake(),
      isInterruptible: (kind) => kind === "execute" || kind === "fetchArgs",
    });
    const reconciler = createReconciler({
      self,
      journal,
      clock,
      chainClock,
      jobs,
      log,
      withdrawThresholdWei: config.withdrawThresholdWei,
      readHead: chain.head,
      readNode: view.readNode,
      readTask: view.readTask,
      performTask: createTaskActions({
        self,
        chain,
        send,
        relay,
        journal,
        blobs: data.blobs,
        behaviour,
        run: {
          engine,
          blobs: data.blobs,
          behaviour,
          scratchDir: data.scratchDir,
          log,
          nowSec: chainClock.nowSec,
          metrics: nodeMetrics,
          clock,
        },
        clock,
        log,
        randomBytes: random,
        reach,
      }),
      performMembership: createMembershipActions({
        self,
        payout,
        vramGb: config.vramGb,
        chain,
        send,
        gpuName: async () => `${config.gpuName}+${taskHash(await engine.start()).slice(2, 10)}`,
        log,
        reach,
      }),
      membershipMemory: memory,
      jitter: (taskId) => jitterOf(self, taskId),
      reach,
      metrics: nodeMetrics,
      engineCrashes: () => engine.state().crashes,
    });

    const follower = createFollower(
      { chain, cursor: memoryCursor(), fromBlock: (await chain.head()).number },
      { clock, log },
    );
    const stopping = new AbortController();
    const loops = [
      reconciler.run(stopping.signal),
      follower.run(createWakeHandler(reconciler, self), stopping.signal).catch((error) => {
        // Without events the node still looks at the chain now and then.
        if (!stopping.signal.aborted) log.error("events can no longer be followed", { error });
      }),
      preload(config, engine, stopping.signal).catch((error) => {
        if (!stopping.signal.aborted) log.warn("could not load a model ahead of its first task", { error });
      }),
      createJanitor({ journal, blobs: data.blobs, clock, log }).run(stopping.signal),
    ];
    shutdown.onClose("loops", async () => {
      stopping.abort();
      await Promise.all(loops);
      await jobs.close(closeGraceMs);
    });

    const status = createStatus({
      config,
      address: self,
      payout,
      engine,
      journal,
      reconciler,
      desired: memory.desired,
    });
    const api = await startApi(
      { ...config.api, tokenPath: data.apiTokenPath },
      {
        log,
        metrics,
        status,
        healthy: reconciler.isHealthy,
        command: async (command) => {
          log.info("the operator asks", { command });
          memory.command(command);
          reconciler.wake();
        },
      },
    );
    shutdown.onClose("local API", api.close);
    sender.resume();
    log.info("node is up", { address: self, api: api.url, desired: memory.desired() });
    return { address: self, apiUrl: api.url, close: () => shutdown.close("closed") };
  } catch (error) {
    await shutdown.close("start failed");
    throw error;
  }
}

/** The first task should not have to wait for the model. */
async function preload(config: NodeConfig, engine: Engine, signal: AbortSignal): Promise<void> {
  const { modelsDirs } = config;
  const chosen = config.engine.preload;
  const models = chosen === undefined ? await listModels({ modelsDirs, signal }) : [];
  const model = chosen ?? (models.length === 1 && models[0]!.id);
  if (model !== false) await engine.load(model, signal);
}

/** In [0, 1), different for every node and task, the same after a restart. */
function jitterOf(self: Hex, taskId: bigint): number {
  const hash = keccak256(concatBytes(hexToBytes(self), utf8Encode(taskId.toString())));
  return Number.parseInt(hash.slice(2, 10), 16) / 2 ** 32;
}
