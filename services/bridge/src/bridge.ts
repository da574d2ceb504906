/** The composition root: opens everything, resumes what was unfinished, listens. */
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serve } from "@hono/node-server";
import { connectChain, createSender } from "@hydrogen/chain";
import { chainMigrations, sqliteOutbox } from "@hydrogen/chain/node";
import { listModels } from "@hydrogen/models";
import { createRelayClient, createTaskClient } from "@hydrogen/sdk";
import { type Clock, systemClock } from "@hydrogen/std";
import { createBlobStore, lockDirectory, openDatabase } from "@hydrogen/storage";
import { createShutdown, type Logger, Metrics } from "@hydrogen/telemetry";
import { privateKeyToAccount } from "viem/accounts";
import { createAdmission } from "./admission.ts";
import { createAuthorizer } from "./api-keys.ts";
import { createApp } from "./app.ts";
import type { BridgeConfig } from "./config.ts";
import type { BridgeContext } from "./context.ts";
import { bridgeError } from "./errors.ts";
import { createLiveTasks } from "./live-tasks.ts";
import { createVramView } from "./network-vram.ts";
import { keepSweeping } from "./retention.ts";
import { createTaskRunner, type Faults } from "./task-runner.ts";
import { bridgeMigrations, createTaskStore } from "./task-store.ts";
import { openWallet } from "./wallet.ts";

export type Bridge = {
  /** Where the API listens. */
  readonly url: string;
  /** The wallet's address. */
  readonly address: `0x${string}`;
  /** Stops listening, leaves tasks where they are (they resume at the next start), closes everything. */
  close(): Promise<void>;
};

export type BridgeDeps = {
  log: Logger;
  clock?: Clock;
  /** Where `keystore.passwordEnv` is looked up; default this process's. */
  environment?: NodeJS.ProcessEnv;
  /** For tests: see TaskRunnerDeps. */
  faults?: Faults;
};

/**
 * Starts a bridge; resolves when it listens and has taken up its unfinished tasks.
 *
 * @throws STORAGE_IN_USE, BRIDGE_PASSWORD_MISSING, KEYSTORE_*, CHAIN_UNREACHABLE, CHAIN_WRONG_ID, BRIDGE_LISTEN_FAILED
 */
export async function startBridge(config: BridgeConfig, deps: BridgeDeps): Promise<Bridge> {
  const { log, clock = systemClock, environment = process.env, faults } = deps;
  const shutdown = createShutdown(log);
  try {
    const { signal } = shutdown;
    const { addresses } = config;
    shutdown.onClose("directory", lockDirectory(config.dataDir));
    const { privateKey } = await openWallet(config.keystore, environment);
    const account = privateKeyToAccount(privateKey);
    const db = openDatabase(join(config.dataDir, "bridge.sqlite"), [...chainMigrations, ...bridgeMigrations]);
    shutdown.onClose("database", () => db.close());
    const chain = await connectChain(
      { rpcUrl: config.rpcUrl, wsUrl: config.wsUrl, addresses },
      { clock, log, signal },
    );
    const sender = createSender({ chain, account, outbox: sqliteOutbox(db) }, { clock, log, signal });
    sender.resume();
    const relay = createRelayClient(
      { url: config.relayUrl, chainId: addresses.chainId, taskContract: addresses.task },
      { signer: account, clock },
    );
    const client = createTaskClient({ chain, sender, relay, clock });
    const store = createTaskStore(db, () => clock.nowMs());
    const metrics = new Metrics();
    const live = createLiveTasks();
    const blobs = createBlobStore(join(config.dataDir, "blobs"));
    const models = (await listModels({ modelsDirs: config.modelsDirs })).map(
      ({ id, title, licence, defaults }) => ({
        id,
        title,
        licence,
        defaults,
      }),
    );
    const runner = createTaskRunner(config, {
      client,
      store,
      blobs,
      live,
      clock,
      log,
      metrics,
      signal,
      faults,
    });
    shutdown.onClose("tasks", () => runner.idle());
    const context: BridgeContext = {
      config,
      chain,
      sender,
      models,
      authorize: createAuthorizer(config.apiKeys),
      admit: createAdmission({ models, feeWei: client.feeWei, holdsVram: createVramView(chain, clock) }),
      store,
      runner,
      live,
      blobs,
      metrics,
      log,
      signal,
    };
    const url = await listen(createApp(context), config, shutdown);
    const resumed = runner.resume();
    const sweeping = keepSweeping(config.retentionDays, { store, blobs, clock, log }, signal);
    shutdown.onClose("retention", () => sweeping);
    log.info("bridge is up", { url, address: account.address, resumed });
    return { url, address: account.address, close: () => shutdown.close("closed") };
  } catch (error) {
    await shutdown.close("start failed");
    throw error;
  }
}

function listen(
  app: ReturnType<typeof createApp>,
  config: BridgeConfig,
  shutdown: ReturnType<typeof createShutdown>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = serve(
      { fetch: app.fetch, hostname: config.host, port: config.port },
      (info: AddressInfo) => resolve(`http://${config.host}:${info.port}`),
    );
    server.on("error", (cause) => {
      const { host, port } = config;
      reject(bridgeError("BRIDGE_LISTEN_FAILED", { host, port }, cause));
    });
    shutdown.onClose("http", () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      if ("closeIdleConnections" in server) server.closeIdleConnections();
      return closed;
    });
  });
}
