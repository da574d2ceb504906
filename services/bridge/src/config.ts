/** The bridge's configuration: one JSON file, parsed once at the border. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type AddressBook, parseAddressBook } from "@hydrogen/chain";
import { errorSummary } from "@hydrogen/std";
import { z } from "zod";
import { bridgeError } from "./errors.ts";

const addressBook = z
  .strictObject({
    chainId: z.int().describe("Chain id; the RPC must serve this chain"),
    token: z.string().describe("Address of the CNX token"),
    node: z.string().describe("Address of the Node contract"),
    task: z.string().describe("Address of the Task contract"),
    deployedBlock: z.int().describe("No event of these contracts lies below this block"),
  })
  .transform((book, context): AddressBook => {
    try {
      return parseAddressBook(book);
    } catch (error) {
      context.addIssue({ code: "custom", message: errorSummary(error) });
      return z.NEVER;
    }
  });

export const bridgeConfig = z.strictObject({
  host: z.string().default("127.0.0.1").describe("Address the API listens on"),
  port: z.int().min(0).max(65_535).default(7402).describe("Port of the API; 0 takes a free one"),
  dataDir: z.string().describe("Tasks, outbox and fetched images. Only one bridge may use it"),
  rpcUrl: z.url({ protocol: /^(https?|wss?)$/ }).describe("The chain RPC, HTTP or WebSocket"),
  wsUrl: z
    .url({ protocol: /^wss?$/ })
    .optional()
    .describe("WebSocket of the chain, to learn of blocks sooner. Default: the RPC is polled"),
  addresses: addressBook.describe("The contracts, as the deployment wrote them"),
  relayUrl: z.url({ protocol: /^https?$/ }).describe("The relay's public origin"),
  keystore: z.strictObject({
    path: z.string().describe("The encrypted keystore (JSON, version 3) of the wallet that pays"),
    passwordEnv: z
      .string()
      .optional()
      .describe("Name of the environment variable with the keystore's password; it comes before the file"),
    passwordFile: z.string().optional().describe("File with the keystore's password"),
  }),
  modelsDirs: z.array(z.string()).min(1).describe("Directories with the manifests of the models on offer"),
  apiKeys: z
    .array(
      z.strictObject({
        name: z.string().min(1).describe("What the key is called in logs"),
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .describe("SHA-256 of the key, in hexadecimal"),
        budgetWei: z
          .string()
          .regex(/^[0-9]+$/)
          .describe("How much CNX the key may spend in all, in wei"),
      }),
    )
    .describe("Who may create tasks, and for how much"),
  corsOrigins: z.array(z.string()).default([]).describe("Web origins that may call the API"),
  maxConcurrentTasks: z
    .int()
    .min(1)
    .default(16)
    .describe("Tasks in progress at the same time; further ones wait"),
  maxBodyBytes: z.int().min(1024).default(16_777_216).describe("Largest request body"),
  taskTimeoutSec: z
    .int()
    .min(1)
    .max(86_400)
    .default(900)
    .describe(
      "Longest time from acceptance until a task is sent to the chain, counted anew after a restart. Then the chain's deadlines end it",
    ),
  retentionDays: z
    .number()
    .positive()
    .default(30)
    .describe("Days after which the args and images of ended tasks are deleted; receipts stay"),
  log: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("Least severe records that are logged"),
});

export type BridgeConfigInput = z.input<typeof bridgeConfig>;
export type BridgeConfig = z.output<typeof bridgeConfig>;

/**
 * Checks a configuration and makes its paths absolute.
 * @param baseDir what relative paths are relative to
 * @throws BRIDGE_CONFIG_INVALID, with the first wrong setting
 */
export function parseBridgeConfig(input: unknown, baseDir: string): BridgeConfig {
  const parsed = bridgeConfig.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw bridgeError("BRIDGE_CONFIG_INVALID", { setting: issue.path.join("."), problem: issue.message });
  }
  const config = parsed.data;
  const absolute = (path: string) => resolve(baseDir, path);
  return {
    ...config,
    dataDir: absolute(config.dataDir),
    modelsDirs: config.modelsDirs.map(absolute),
    keystore: {
      ...config.keystore,
      path: absolute(config.keystore.path),
      ...(config.keystore.passwordFile && { passwordFile: absolute(config.keystore.passwordFile) }),
    },
  };
}

/** @throws BRIDGE_CONFIG_INVALID */
export async function readBridgeConfig(path: string): Promise<BridgeConfig> {
  let input: unknown;
  try {
    input = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw bridgeError("BRIDGE_CONFIG_INVALID", { path }, cause);
  }
  return parseBridgeConfig(input, dirname(resolve(path)));
}
