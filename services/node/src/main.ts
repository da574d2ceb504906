/** Entry point: `node main.ts <config.json>`, or the path in HYDROGEN_CONFIG. */
import { errorSummary, HydrogenError } from "@hydrogen/std";
import { closeOnSignals, createLogger, createShutdown } from "@hydrogen/telemetry";
import { readNodeConfig } from "./config.ts";
import { startNode } from "./node.ts";

const path = process.argv[2] ?? process.env.HYDROGEN_CONFIG;
if (path === undefined) {
  process.stderr.write("usage: node main.ts <config.json>\n");
  process.exit(2);
}

try {
  const config = await readNodeConfig(path);
  const log = createLogger({ level: config.log });
  const shutdown = createShutdown(log);
  const behaviour =
    config.devnetBehaviour === undefined
      ? undefined
      : (await import("./testing/behaviours.ts")).behaviours[config.devnetBehaviour];
  if (behaviour !== undefined)
    log.warn("this node misbehaves on purpose", { behaviour: config.devnetBehaviour });
  // First, for whoever started this may be gone before it is up.
  closeOnSignals(shutdown, log);
  const node = await startNode(config, { log, ...(behaviour && { behaviour }) });
  shutdown.onClose("node", node.close);
} catch (error) {
  process.stderr.write(`${errorSummary(error)}\n`);
  if (error instanceof HydrogenError && error.hint !== undefined) process.stderr.write(`${error.hint}\n`);
  process.exit(1);
}
