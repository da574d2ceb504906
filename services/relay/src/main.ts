#!/usr/bin/env node
/** The relay as a process of its own: `node main.ts config.json`, or HYDROGEN_CONFIG. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { errorSummary } from "@hydrogen/std";
import { closeOnSignals, createLogger, createShutdown } from "@hydrogen/telemetry";
import type { RelayConfigInput } from "./config.ts";
import { relayError } from "./errors.ts";
import { startRelay } from "./relay.ts";

const log = createLogger();
const shutdown = createShutdown(log);
closeOnSignals(shutdown, log);

try {
  const relay = await startRelay(readConfig(process.argv[2] ?? process.env.HYDROGEN_CONFIG), { log });
  shutdown.onClose("relay", relay.close);
  // Whoever started this process learns where the relay is.
  process.send?.({ type: "ready", url: relay.url });
  relay.failed.catch(() => {
    process.exitCode = 1;
    return shutdown.close("cannot follow the chain").then(() => process.exit());
  });
} catch (error) {
  log.error("the relay did not start", { error });
  console.error(errorSummary(error));
  process.exit(1);
}

function readConfig(path: string | undefined): RelayConfigInput {
  if (path === undefined)
    throw relayError("RELAY_CONFIG_INVALID", { reason: "no configuration file is named" });
  try {
    const config = JSON.parse(readFileSync(path, "utf8")) as RelayConfigInput;
    // As in every service's configuration, paths are relative to the file.
    return { ...config, dataDir: resolve(dirname(path), config.dataDir ?? "") };
  } catch (cause) {
    throw relayError("RELAY_CONFIG_INVALID", { path }, cause);
  }
}
