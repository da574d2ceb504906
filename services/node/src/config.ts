/** The node's configuration: one JSON file, parsed once at the border. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { nodeError } from "./errors.ts";

const address = z.templateLiteral(["0x", z.string().regex(/^[0-9a-fA-F]{40}$/)], { error: "not an address" });
const wei = z
  .string()
  .regex(/^[0-9]+$/)
  .transform((text) => BigInt(text));

export const nodeConfig = z.strictObject({
  dataDir: z.string().describe("Journal, outbox, result files and API token. Only one node may use it"),
  rpcUrl: z.url({ protocol: /^https?$/ }).describe("The chain RPC"),
  wsUrl: z
    .url({ protocol: /^wss?$/ })
    .optional()
    .describe("WebSocket of the chain RPC, for new blocks at once; without it the chain is polled"),
  addresses: z.strictObject({
    chainId: z.int().positive().describe("The chain's id"),
    token: address.describe("The CNX token contract"),
    node: address.describe("The Node contract"),
    task: address.describe("The Task contract"),
    deployedBlock: z
      .int()
      .min(0)
      .default(0)
      .transform((block) => BigInt(block))
      .describe("No event of these contracts lies below this block"),
  }),
  relayUrl: z.url({ protocol: /^https?$/ }).describe("The relay's public origin"),
  keystore: z.strictObject({
    path: z.string().describe("The encrypted keystore (JSON, version 3)"),
    passwordEnv: z
      .string()
      .optional()
      .describe("Name of the environment variable with the keystore's password"),
    passwordFile: z.string().optional().describe("File with the keystore's password"),
  }),
  gpuName: z.string().min(1).max(64).describe("The device, without the engine's fingerprint"),
  vramGb: z.int().positive().describe("Memory for tasks, in GB; one of the classes of the Node contract"),
  modelsDirs: z.array(z.string()).min(1).describe("Directories searched for models, in order"),
  engine: z
    .strictObject({
      threads: z.int().min(0).default(0).describe("CPU threads per run; 0 measures which number is fastest"),
      timeoutSec: z.number().positive().default(280).describe("Longest run of one task"),
      preload: z
        .union([z.string(), z.literal(false)])
        .optional()
        .describe(
          "Id of the model to load at start, or false for none; by default the only one there is, if there is only one",
        ),
    })
    .prefault({}),
  payoutAddress: address
    .optional()
    .describe("Where withdrawn earnings go; by default the node's own address"),
  withdrawThresholdWei: wei
    .default(10n ** 20n)
    .describe("Earnings are withdrawn when they reach this, in wei of CNX"),
  api: z
    .strictObject({
      host: z.string().default("127.0.0.1").describe("Address the local API listens on"),
      port: z.int().min(0).max(65_535).default(7412).describe("Port of the local API; 0 takes a free one"),
    })
    .prefault({}),
  log: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("Least severe records that are logged"),
  devnetBehaviour: z
    .enum(["lying", "silent", "commitsThenSilent", "noUpload"])
    .optional()
    .describe("Test networks only: makes this node misbehave, and lose its stake for it"),
});

/** As in the file, with defaults left out. */
export type NodeConfigInput = z.input<typeof nodeConfig>;
export type NodeConfig = z.output<typeof nodeConfig>;

/**
 * Checks a configuration and makes its paths absolute.
 * @param baseDir what relative paths are relative to
 * @throws NODE_CONFIG_INVALID, with the first wrong setting
 */
export function parseNodeConfig(input: unknown, baseDir: string): NodeConfig {
  const parsed = nodeConfig.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const unknown = issue.code === "unrecognized_keys" ? issue.keys[0]! : [];
    const setting = issue.path.concat(unknown).join(".");
    throw nodeError("NODE_CONFIG_INVALID", { setting, problem: issue.message });
  }
  const config = parsed.data;
  const absolute = (path: string) => resolve(baseDir, path);
  return {
    ...config,
    dataDir: absolute(config.dataDir),
    keystore: {
      ...config.keystore,
      path: absolute(config.keystore.path),
      ...(config.keystore.passwordFile && { passwordFile: absolute(config.keystore.passwordFile) }),
    },
    modelsDirs: config.modelsDirs.map(absolute),
  };
}

/** @throws NODE_CONFIG_INVALID */
export async function readNodeConfig(path: string): Promise<NodeConfig> {
  let input: unknown;
  try {
    input = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw nodeError("NODE_CONFIG_INVALID", { path }, cause);
  }
  return parseNodeConfig(input, dirname(resolve(path)));
}
