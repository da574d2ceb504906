/** For tests: a bridge on a real chain and a real relay, with nodes whose every step the test decides. */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { createKeystore, type NetworkParameters } from "@hydrogen/chain/node";
import { startRelay } from "@hydrogen/relay";
import { type BridgeClient, type BridgeTask, createBridgeClient, createRelayClient } from "@hydrogen/sdk";
import { agreedFiles, type PlayedNetwork, type PlayedNode, startPlayedNetwork } from "@hydrogen/sdk/testing";
import { type Clock, type Hex, isHydrogenError } from "@hydrogen/std";
import { sdTaskArgsFor } from "@hydrogen/tasks";
import { createLogger, silentLogger } from "@hydrogen/telemetry";
import { type Bridge, startBridge } from "../bridge.ts";
import { type BridgeConfigInput, parseBridgeConfig } from "../config.ts";

export type TestBridge = PlayedNetwork & {
  /** The bridge's wallet; holds 1,000 CNX. */
  readonly wallet: Hex;
  readonly relay: { close(): Promise<void> };
  /** In this process; several on one directory refuse each other. */
  start(config?: Partial<BridgeConfigInput>, deps?: { clock?: Clock }): Promise<Bridge>;
  /** In a process of its own, which dies when it reaches the point. */
  spawn(crashPoint?: string): SpawnedBridge;
  client(url: string, apiKey?: string): BridgeClient;
  /** Uploads the files as the node and says so on chain. */
  upload(taskId: bigint, node: PlayedNode): Promise<void>;
  /** Takes a task from the draw to its end, all three nodes agreeing. */
  playWithFiles(taskId: bigint): Promise<void>;
};

export type SpawnedBridge = {
  /** Where it listens, once it does. */
  readonly url: Promise<string>;
  /** Resolves when the process is gone, with the signal that ended it. */
  readonly exited: Promise<string | null>;
  kill(): void;
};

const cnx = 10n ** 18n;
const password = "correct horse";
export const modelsDir = fileURLToPath(new URL("../../../../models", import.meta.url));
export const environment = { BRIDGE_PASSWORD: password };
/** Set HYDROGEN_TEST_LOG=1 to see what the bridge does. */
export const testLog =
  process.env.HYDROGEN_TEST_LOG === undefined
    ? silentLogger
    : createLogger({ level: "debug", format: "text" });

/** API keys: "rich" may spend 900 CNX, "poor" 30. */
export async function startTestBridge(
  t: Pick<TestContext, "after">,
  options: { parameters?: NetworkParameters } = {},
): Promise<TestBridge> {
  const network = await startPlayedNetwork(t, options);
  const { addresses, rpcUrl, chain } = network;
  const open = new AsyncDisposableStack();
  t.after(() => open.disposeAsync());
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-bridge-"));
  open.defer(() => rmSync(dir, { recursive: true, force: true }));
  const relay = await startRelay(
    { dataDir: join(dir, "relay"), rpcUrl, addresses, port: 0 },
    { log: silentLogger },
  );
  open.defer(() => relay.close());
  const { address: wallet } = await createKeystore(join(dir, "wallet.json"), password, { scryptN: 1024 });
  await network.giveCnx(wallet, 1_000n * cnx);
  await network.giveGas(wallet);
  const key = (name: string, budgetCnx: bigint) => ({
    name,
    sha256: createHash("sha256").update(name).digest("hex"),
    budgetWei: (budgetCnx * cnx).toString(),
  });
  const configInput: BridgeConfigInput = {
    port: 0,
    dataDir: "bridge",
    rpcUrl,
    addresses: { ...addresses, deployedBlock: Number(addresses.deployedBlock) },
    relayUrl: relay.url,
    keystore: { path: "wallet.json", passwordEnv: "BRIDGE_PASSWORD" },
    modelsDirs: [modelsDir],
    apiKeys: [key("rich", 900n), key("poor", 30n)],
  };
  const configPath = join(dir, "bridge.json");
  writeFileSync(configPath, JSON.stringify(configInput));

  const upload: TestBridge["upload"] = async (taskId, node) => {
    const options = { url: relay.url, chainId: chain.chainId, taskContract: addresses.task };
    const client = createRelayClient(options, { signer: node.account });
    await network.until(() =>
      client.uploadResults(taskId, agreedFiles).then(
        () => true,
        (error) => {
          if (isHydrogenError(error) && error.retryable) return false;
          throw error;
        },
      ),
    );
    await node.reportUploaded(taskId);
  };
  return {
    ...network,
    wallet,
    relay,
    upload,
    start: async (config = {}, deps = {}) => {
      const parsed = parseBridgeConfig({ ...configInput, ...config }, dir);
      const bridge = await startBridge(parsed, { log: testLog, environment, ...deps });
      open.defer(bridge.close);
      return bridge;
    },
    spawn: (crashPoint = "") => {
      const main = fileURLToPath(new URL("./crash-main.ts", import.meta.url));
      const child = fork(main, [configPath, crashPoint], {
        env: { ...process.env, ...environment },
        stdio: "inherit",
      });
      const exited = new Promise<string | null>((resolve) =>
        child.once("exit", (_code, signal) => resolve(signal)),
      );
      const kill = () => void child.kill("SIGKILL");
      open.defer(async () => {
        kill();
        await exited;
      });
      const url = new Promise<string>((resolve) =>
        child.once("message", (message) => resolve((message as { url: string }).url)),
      );
      return { url, exited, kill };
    },
    client: (url, apiKey = "rich") => createBridgeClient({ url, apiKey }),
    playWithFiles: async (taskId) => {
      const byRound = await network.drawn(taskId);
      for (const node of byRound) await node.commit(taskId);
      for (const node of byRound) await node.reveal(taskId);
      await upload(taskId, byRound[0]!);
    },
  };
}

/** Args that the bridge admits. */
export function someArgs(seed = 1, sidePx = 64): string {
  return sdTaskArgsFor({
    model: "hydrogen-network/emoji-64",
    prompt: "a red apple",
    seed,
    steps: 4,
    widthPx: sidePx,
    heightPx: sidePx,
    cfg: 4,
    scheduler: "EulerAncestralDiscreteScheduler",
  }).text;
}

/** Waits for the task's end. */
export async function finished(client: BridgeClient, id: string): Promise<BridgeTask> {
  let last: BridgeTask | undefined;
  for await (const task of client.follow(id, AbortSignal.timeout(60_000))) last = task;
  return last!;
}
