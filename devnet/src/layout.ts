/** Where a network keeps what: one directory, one subdirectory per part. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { devnetError } from "./errors.ts";

export type Layout = ReturnType<typeof devnetLayout>;

export function devnetLayout(dataDir: string) {
  const at = (...parts: string[]) => join(dataDir, ...parts);
  return {
    dataDir,
    network: at("network.json"),
    ports: at("ports.json"),
    chain: at("chain"),
    deployment: at("deployment.sqlite"),
    relay: at("relay"),
    bridge: at("bridge"),
    node: (index: number) => at(`node-${index}`),
    keystore: (name: string) => at("wallets", `${name}.json`),
    password: at("wallets", "password"),
    apiKey: at("api-key"),
    config: (name: string) => at("config", `${name}.json`),
    log: (name: string) => at("logs", `${name}.log`),
    out: at("images"),
  };
}

/** What a client must know of a running network. */
export type NetworkFile = {
  chainId: number;
  rpcUrl: string;
  relayUrl: string;
  bridgeUrl: string;
  nodes: { name: string; address: string; apiUrl: string }[];
  addresses: { chainId: number; token: string; node: string; task: string; deployedBlock: number };
  wallets: Record<string, string>;
};

/** @throws DEVNET_NO_NETWORK, DEVNET_FILE_DAMAGED */
export function readNetwork(dataDir: string): NetworkFile {
  const network = readJson<NetworkFile>(devnetLayout(dataDir).network);
  if (network === undefined) throw devnetError("DEVNET_NO_NETWORK", { dataDir });
  return network;
}

/** The key with which this machine's tools use the bridge. @throws DEVNET_NO_NETWORK */
export function readApiKey(dataDir: string): string {
  const path = devnetLayout(dataDir).apiKey;
  if (!existsSync(path)) throw devnetError("DEVNET_NO_NETWORK", { dataDir });
  return readFileSync(path, "utf8");
}

/** Writes a file so that readers see the old content or the new, never half of it, after a power cut too. */
export function writeFileAtomic(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, text, { mode, flush: true });
  renameSync(temporary, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** What an earlier start wrote; undefined if there is nothing. @throws DEVNET_FILE_DAMAGED */
export function readJson<T>(path: string): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (cause) {
    throw devnetError("DEVNET_FILE_DAMAGED", { path }, cause);
  }
}

/** The secret in the file; made and kept there at the first call, readable for the owner only. */
export function secretFile(path: string): string {
  if (!existsSync(path)) writeFileAtomic(path, randomBytes(24).toString("base64url"), 0o600);
  return readFileSync(path, "utf8");
}
