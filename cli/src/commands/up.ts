/** `hydrogen up`: the whole network on this machine, and a first image through all of it. */
import { join } from "node:path";
import { type Devnet, readApiKey, startDevnet } from "@hydrogen/devnet";
import { createBridgeClient } from "@hydrogen/sdk";
import { formatDuration, isHydrogenError } from "@hydrogen/std";
import { createLogger } from "@hydrogen/telemetry";
import type { Command } from "commander";
import { cliError } from "../errors.ts";
import { generateImages } from "../generate.ts";
import { integerIn, numberIn } from "../options.ts";
import { dataDirOf, shippedModelsDir } from "../paths.ts";
import { createTaskProgress } from "../progress.ts";
import { reportError } from "../report.ts";
import { addImageOptions, checkWritable, type ImageOptions, requestOf, save, saveImages } from "./image.ts";

type UpOptions = ImageOptions & {
  prompt: string;
  once?: boolean;
  image: boolean;
  data?: string;
  nodes: number;
  blockTime?: number;
  anyPort?: boolean;
  rpc?: string;
};

export function upCommand(command: Command, signal: AbortSignal): void {
  addImageOptions(
    command
      .command("up")
      .description("start the whole network on this machine and generate a first image")
      .option("--prompt <text>", "what the first image shows", "a red apple")
      .option("--once", "end after the first image; print its receipt on standard output")
      .option("--no-image", "start without a first image"),
  )
    .option("--data <dir>", "directory of the network (default: $HYDROGEN_HOME or .hydrogen)")
    .option("--nodes <number>", "how many nodes, 3 to 16", integerIn(3, 16), 3)
    .option(
      "--block-time <seconds>",
      "fixed time between blocks (default: a block as soon as needed)",
      numberIn(0.1, 60),
    )
    .option(
      "--rpc <url>",
      "use this chain instead of the embedded one; $HYDROGEN_DEPLOYER_KEY pays for the deployment",
    )
    .option("--any-port", "take any free ports instead of the usual ones (first start only)")
    .action(async (options: UpOptions) => {
      const dataDir = dataDirOf(options.data);
      if (options.out !== undefined) await checkWritable(options.out);
      const startedMs = performance.now();
      const devnet = await startDevnet(
        {
          dataDir,
          modelsDirs: [shippedModelsDir, join(dataDir, "models")],
          nodes: options.nodes,
          anyPort: options.anyPort ?? false,
          ...(options.rpc === undefined ? {} : { chain: otherChain(options.rpc) }),
          ...(options.blockTime === undefined ? {} : { blockTimeSec: options.blockTime }),
        },
        { log: createLogger({ level: "warn" }), onProgress: (text) => console.error(`✓ ${text}`), signal },
      );
      try {
        console.error(`The network is up after ${formatDuration(performance.now() - startedMs)}.`);
        if (options.once) return await firstImage(devnet, dataDir, options, signal);
        if (options.image) await firstImage(devnet, dataDir, options, signal).catch(carryOn);
        console.error(summary(devnet, dataDir));
        await aborted(signal);
      } finally {
        console.error("Stopping …");
        await devnet.close();
      }
    });
}

/** @throws CLI_OPTION_INVALID without a usable key */
function otherChain(rpcUrl: string): { rpcUrl: string; deployerKey: `0x${string}` } {
  const key = process.env.HYDROGEN_DEPLOYER_KEY ?? "";
  if (!/^0x[0-9a-fA-F]{64}$/.test(key))
    throw cliError("CLI_OPTION_INVALID", {
      option: "--rpc",
      problem: "HYDROGEN_DEPLOYER_KEY is not set to a private key",
    });
  return { rpcUrl, deployerKey: key as `0x${string}` };
}

async function firstImage(
  devnet: Devnet,
  dataDir: string,
  options: UpOptions,
  signal: AbortSignal,
): Promise<void> {
  const client = createBridgeClient({ url: devnet.network.bridgeUrl, apiKey: readApiKey(dataDir) });
  const progress = createTaskProgress(process.stderr);
  console.error(`Generating “${options.prompt}” …`);
  const startedMs = performance.now();
  const made = await generateImages(client, requestOf(options.prompt, options), {
    onTask: progress.show,
    signal,
  }).finally(progress.end);
  const out = options.out ?? join(devnet.layout.out, `${made.task.task_id}.png`);
  const files = await saveImages(made, out);
  const receiptFile = await save(
    join(devnet.layout.out, `${made.task.task_id}.receipt.json`),
    made.receiptText,
  );
  console.error(
    `Three nodes agreed, the chain paid them (${formatDuration(performance.now() - startedMs)}).\n` +
      `  image    ${files.join("\n           ")}\n  receipt  ${receiptFile}`,
  );
  if (options.once) console.log(made.receiptText.trim());
}

/** The network is there for more than this image. */
function carryOn(error: unknown): void {
  if (!isHydrogenError(error)) throw error;
  reportError(console, error);
}

function summary(devnet: Devnet, dataDir: string): string {
  const { network } = devnet;
  return [
    "",
    `  bridge   ${network.bridgeUrl}   (API: ${network.bridgeUrl}/openapi.json)`,
    `  relay    ${network.relayUrl}`,
    `  chain    ${network.rpcUrl}   (JSON-RPC, chain id ${network.chainId})`,
    ...network.nodes.map(({ name, apiUrl, address }) => `  ${name}   ${apiUrl}   ${address}`),
    `  data     ${dataDir}   (logs in ${join(dataDir, "logs")})`,
    "",
    'Try:  npx hydrogen image "a smiling face" --out face.png',
    "Ctrl-C stops the network; starting it again takes it up where it was.",
  ].join("\n");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
