/** The relay as a whole: opens what it needs, follows the chain, listens, and closes in reverse. */
import type { Server } from "node:http";
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { connectChain, createFollower } from "@hydrogen/chain";
import { chainMigrations, sqliteCursor } from "@hydrogen/chain/node";
import { type Clock, systemClock } from "@hydrogen/std";
import { createBlobStore, lockDirectory, openDatabase } from "@hydrogen/storage";
import { createShutdown, type Logger, Metrics } from "@hydrogen/telemetry";
import { createApp } from "./app.ts";
import { createAuthenticator } from "./auth.ts";
import { parseRelayConfig, type RelayConfigInput } from "./config.ts";
import { relayError } from "./errors.ts";
import { openNonces } from "./nonces.ts";
import { createProgressBoard } from "./progress.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { createStore, migrations } from "./store.ts";
import { createTaskFollower, createTasks } from "./tasks.ts";
import { createUploads } from "./uploads.ts";

export type RelayDeps = { log: Logger; clock?: Clock; metrics?: Metrics };

export type Relay = {
  /** The origin to reach and to sign for, without a trailing slash. */
  readonly url: string;
  /** Rejects if the relay can no longer follow the chain; it should be restarted then. */
  readonly failed: Promise<never>;
  /** Finishes the requests under way, then closes everything. */
  close(): Promise<void>;
};

const hourMs = 3_600_000;
const closeTimeoutMs = 5_000;
const closePollMs = 20;

/**
 * Starts a relay; resolves when it listens.
 *
 * @throws RELAY_CONFIG_INVALID, STORAGE_IN_USE, CHAIN_UNREACHABLE, CHAIN_WRONG_ID, STORAGE_TOO_NEW
 */
export async function startRelay(configInput: RelayConfigInput, deps: RelayDeps): Promise<Relay> {
  const config = parseRelayConfig(configInput);
  const { log, clock = systemClock, metrics = new Metrics() } = deps;
  const shutdown = createShutdown(log);
  const { signal } = shutdown;
  try {
    const { rpcUrl, wsUrl, addresses, confirmations, dataDir, limits } = config;
    shutdown.onClose("directory", lockDirectory(dataDir));
    const chain = await connectChain({ rpcUrl, wsUrl, addresses }, { clock, log });
    shutdown.onClose("chain", chain.close);
    const db = openDatabase(join(dataDir, "relay.sqlite"), [...chainMigrations, ...migrations]);
    shutdown.onClose("database", db.close);
    const nonces = openNonces(join(dataDir, "nonces.sqlite"));
    shutdown.onClose("nonces", nonces.close);
    const blobs = createBlobStore(join(dataDir, "blobs"));

    const store = createStore(db);
    const uploads = createUploads({ store, blobs, clock });
    await uploads.collectGarbage();
    const follower = createFollower(
      { chain, cursor: sqliteCursor(db, "relay"), confirmations },
      { clock, log },
    );
    const following = follower.run(createTaskFollower(store), signal);
    const ended = Promise.allSettled([following, expireHourly()]);
    shutdown.onClose("loops", async () => void (await ended));

    async function expireHourly(): Promise<void> {
      for (;;) {
        await uploads.expire(config.retentionDays * 24 * hourMs).catch((error: unknown) => {
          log.error("could not delete expired uploads", { error });
        });
        await clock.sleep(hourMs, signal);
      }
    }

    let url = config.publicUrl === undefined ? "" : new URL(config.publicUrl).origin;
    const relayOrigin = () => url;
    const { position } = follower;
    const perAddress = createRateLimiter(limits.perAddress, { clock });
    const app = createApp(config, {
      auth: createAuthenticator(config, { relayOrigin, nonces, perAddress, clock }),
      tasks: createTasks({ store, chain, position }),
      uploads,
      blobs,
      progress: createProgressBoard(),
      chain,
      db,
      metrics,
      position,
      relayOrigin,
      limits,
      clock,
      log,
    });
    const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
    const port = await listen(server, config.host, config.port);
    shutdown.onClose("server", () => closeServer(server, clock));
    url ||= `http://${urlHost(config.host)}:${port}`;
    log.info("relay listens", { url, port });

    const failed = following.catch((error: unknown) => {
      if (signal.aborted) return new Promise<never>(() => undefined);
      log.error("the relay no longer follows the chain", { error });
      throw error;
    });
    failed.catch(() => undefined);
    return { url, failed, close: () => shutdown.close("relay closed") };
  } catch (error) {
    await shutdown.close("relay did not start");
    throw error;
  }
}

function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: Error) => reject(relayError("RELAY_LISTEN_FAILED", { host, port }, cause));
    server.once("error", refuse);
    server.listen(port, host, () => {
      server.off("error", refuse);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

/** Lets requests finish, but not for ever. */
async function closeServer(server: Server, clock: Clock): Promise<void> {
  const closed = new AbortController();
  server.close(() => closed.abort());
  const deadlineMs = clock.nowMs() + closeTimeoutMs;
  while (!closed.signal.aborted) {
    // A connection whose last answer is just leaving becomes idle a moment later.
    if (clock.nowMs() < deadlineMs) server.closeIdleConnections();
    else server.closeAllConnections();
    await clock.sleep(closePollMs, closed.signal).catch(() => undefined);
  }
}
