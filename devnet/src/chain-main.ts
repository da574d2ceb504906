/** The process of the embedded chain: `node devnet/src/chain-main.ts config.json`. */
import { readFileSync } from "node:fs";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import { closeOnSignals, createLogger, createShutdown } from "@hydrogen/telemetry";

/** Balances are decimal strings, in wei. */
export type ChainConfigFile = {
  dataDir: string;
  port: number;
  chainId: number;
  blockTimeSec?: number;
  allowedOrigins: string[];
  alloc: Record<string, string>;
};

const config = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as ChainConfigFile;
const log = createLogger({}, { service: "chain" });
const shutdown = createShutdown(log);
closeOnSignals(shutdown, log);
const chain = await startEmbeddedChain({
  ...config,
  alloc: Object.fromEntries(Object.entries(config.alloc).map(([address, wei]) => [address, BigInt(wei)])),
  log,
});
shutdown.onClose("chain", () => chain.close());
log.info("chain is up", { url: chain.url });
