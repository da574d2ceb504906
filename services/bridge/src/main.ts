/** Runs a bridge: `node services/bridge/src/main.ts config.json`. */
import { errorSummary } from "@hydrogen/std";
import { closeOnSignals, createLogger, createShutdown } from "@hydrogen/telemetry";
import { startBridge } from "./bridge.ts";
import { readBridgeConfig } from "./config.ts";

const path = process.argv[2] ?? process.env.HYDROGEN_CONFIG;
if (path === undefined) {
  console.error("Usage: node services/bridge/src/main.ts <config.json>");
  process.exit(2);
}
try {
  const config = await readBridgeConfig(path);
  const log = createLogger({ level: config.log }, { service: "bridge" });
  const shutdown = createShutdown(log);
  closeOnSignals(shutdown, log);
  const bridge = await startBridge(config, { log });
  shutdown.onClose("bridge", bridge.close);
} catch (error) {
  console.error(errorSummary(error));
  process.exit(1);
}
