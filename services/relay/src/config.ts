/** The relay's configuration: one schema, from which the reference in docs/config.md is made. */
import { type AddressBook, parseAddressBook } from "@hydrogen/chain";
import { errorSummary } from "@hydrogen/std";
import { z } from "zod";
import { relayError } from "./errors.ts";

const rate = (burst: number, perSec: number, who: string) =>
  z
    .strictObject({
      burst: z.number().int().min(1).default(burst).describe(`Requests ${who} may send at once.`),
      perSec: z
        .number()
        .positive()
        .default(perSec)
        .describe(`Requests a second ${who} may send in the long run.`),
    })
    .prefault({});

const limits = z.strictObject({
  maxArgsBytes: z
    .number()
    .int()
    .min(1)
    .default(8 * 1024 * 1024)
    .describe("Largest task args, in bytes; images for ControlNet are inside them."),
  maxFileBytes: z
    .number()
    .int()
    .min(1)
    .default(16 * 1024 * 1024)
    .describe("Largest file of a result, in bytes."),
  maxResultBytes: z
    .number()
    .int()
    .min(1)
    .default(64 * 1024 * 1024)
    .describe("Largest result upload in all, in bytes."),
  maxFiles: z.number().int().min(1).max(100).default(10).describe("Most files in a result."),
  maxPixels: z
    .number()
    .int()
    .min(1)
    .max(4096 * 4096)
    .default(2048 * 2048)
    .describe("Most pixels in an image of a result; judged before the image is decoded."),
  maxBufferedBytes: z
    .number()
    .int()
    .min(1)
    .default(256 * 1024 * 1024)
    .describe("Most bytes of task args in memory at once; beyond, uploaders are asked to come again."),
  perIp: rate(2_000, 500, "one IP address"),
  perAddress: rate(500, 200, "one signer"),
});

const addressBook = z
  .object({
    chainId: z.number().int().describe("Chain id; the RPC must serve this chain."),
    token: z.string().describe("Address of the CNX token."),
    node: z.string().describe("Address of the Node contract."),
    task: z.string().describe("Address of the Task contract."),
    deployedBlock: z
      .union([z.number().int(), z.bigint()])
      .describe("No event of these contracts lies below this block."),
  })
  .transform((book, context): AddressBook => {
    try {
      return parseAddressBook(book);
    } catch (error) {
      context.addIssue({ code: "custom", message: errorSummary(error) });
      return z.NEVER;
    }
  });

export const relayConfigSchema = z.strictObject({
  host: z.string().default("127.0.0.1").describe("Address to listen on."),
  port: z.number().int().min(0).max(65_535).default(0).describe("Port to listen on; 0 takes any free one."),
  publicUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("The origin clients reach the relay at, which they sign. Default: the address it listens on."),
  dataDir: z.string().min(1).describe("Directory of the database and the files; the relay's alone."),
  rpcUrl: z.url({ protocol: /^https?$/ }).describe("JSON-RPC of the chain."),
  wsUrl: z
    .url({ protocol: /^wss?$/ })
    .optional()
    .describe("WebSocket of the chain, to learn of blocks sooner. Default: the RPC is polled."),
  addresses: addressBook,
  confirmations: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("Blocks to stay behind the head. Reorganisations are followed at any setting."),
  corsOrigins: z
    .array(z.string())
    .default(["*"])
    .describe('Web origins that may call the relay; "*" allows all. Cookies are never used.'),
  trustProxy: z
    .boolean()
    .default(false)
    .describe("Whether the last address in X-Forwarded-For is the client's: only behind a proxy of yours."),
  retentionDays: z
    .number()
    .positive()
    .default(30)
    .describe("Days after which the args and results of tasks are deleted."),
  seedsSignatures: z
    .boolean()
    .default(true)
    .describe(
      "Whether the seeds' signature scheme is accepted beside EIP-712. It can be replayed within 60 s.",
    ),
  limits: limits.prefault({}).describe("Sizes and rates."),
});

export type RelayConfig = z.output<typeof relayConfigSchema>;
/** What may be written in a configuration file: everything with a default may be left out. */
export type RelayConfigInput = z.input<typeof relayConfigSchema>;
export type RelayLimits = RelayConfig["limits"];

/** @throws RELAY_CONFIG_INVALID naming the first wrong field */
export function parseRelayConfig(json: unknown): RelayConfig {
  const parsed = relayConfigSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw relayError("RELAY_CONFIG_INVALID", { field: issue?.path.join("."), reason: issue?.message });
}
