/** The composition root: opens everything, resumes what was unfinished, listens. */
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serve } from "@hono/node-server";
import { connectChain, createSender } from "@hydrogen/chain";
import { chainMigrations, openKeystore, sqliteOutbox } from "@hydrogen/chain/node";
import { listModels } from "@hydrogen/models";
import { createRelayClient, createTaskClient } from "@hydrogen/sdk";
import { type Clock, systemClock } from "@hydrogen/std";
import { createBlobStore, openDatabase } from "@hydrogen/storage";
import { createShutdown, type Logger, Metrics } from "@hydrogen/telemetry";
import { privateKeyToAccount } from "viem/accounts";
import { createAdmission } from "./admission.ts";
import { createAuthorizer } from "./api-keys.ts";
import { createApp } from "./app.ts";
import type { BridgeConfig } from "./config.ts";
import type { BridgeContext } from "./context.ts";
import { bridgeError } from "./errors.ts";
import { createLiveTasks } from "./live-tasks.ts";
import { createTaskRunner } from "./task-runner.ts";
import { bridgeMigrations, createTaskStore } from "./task-store.ts";

export type Bridge = {
  /** Where the API listens. */
  readonly url: string;
  /** The wallet's address. */
  readonly address: `0x${string}`;
  /** Stops listening, leaves tasks where they are (they resume at the next start), closes everything. */
  close(): Promise<void>;
};

/**
 * Starts a bridge; resolves when it listens and has taken up its unfinished tasks.
 *
 * @throws CHAIN_UNREACHABLE, CHAIN_WRONG_ID, KEYSTORE_*, BRIDGE_CONFIG_INVALID
 */
export async function startBridge(
  config: BridgeConfig,
  deps: { log: Logger; clock?: Clock },
): Promise<Bridge> {
  const { log, clock = systemClock } = deps;
  const shutdown = createShutdown(log);
  try {
    const { signal } = shutdown;
    const { addresses } = config;
    const { privateKey } = await openKeystore(config.keystore.path, await keystorePassword(config));
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
    const runner = createTaskRunner(config, { client, store, blobs, live, clock, log, metrics, signal });
    shutdown.onClose("tasks", () => runner.idle());
    const context: BridgeContext = {
      config,
      chain,
      sender,
      models,
      authorize: createAuthorizer(config.apiKeys),
      admit: createAdmission({ models, feeWei: client.feeWei }),
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
    server.on("error", reject);
    shutdown.onClose("http", () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      if ("closeIdleConnections" in server) server.closeIdleConnections();
      return closed;
    });
  });
}

async function keystorePassword({ keystore }: BridgeConfig): Promise<string> {
  const { passwordEnv, passwordFile } = keystore;
  if (passwordFile !== undefined) return (await readFile(passwordFile, "utf8")).trimEnd();
  const password = passwordEnv === undefined ? undefined : process.env[passwordEnv];
  if (password === undefined)
    throw bridgeError("BRIDGE_CONFIG_INVALID", {
      setting: "keystore",
      problem: "no passwordFile, and passwordEnv is not set",
    });
  return password;
}
