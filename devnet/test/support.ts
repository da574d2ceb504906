/** What the end-to-end tests share: a network in a directory of its own, a client, and the books. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Chain } from "@hydrogen/chain";
import { type Devnet, type DevnetOptions, readApiKey, readBooks, startDevnet } from "@hydrogen/devnet";
import { parseReceipt, type Receipt, verifyReceipt } from "@hydrogen/protocol";
import { type BridgeClient, type BridgeTask, createBridgeClient } from "@hydrogen/sdk";
import { deserializeError } from "@hydrogen/std";
import { sdTaskArgsFor } from "@hydrogen/tasks";
import { silentLogger } from "@hydrogen/telemetry";

export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));
export const modelsDir = join(repositoryRoot, "models");

/** Contract deadlines that keep a test short and still leave a slow machine room. */
export const quickParameters = { graceSec: 5n, commitSec: 45n, revealSec: 15n, uploadSec: 15n };

export function temporaryDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-e2e-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A network that is stopped when the test ends. */
export async function network(t: TestContext, options: Partial<DevnetOptions> = {}): Promise<Devnet> {
  const dataDir = options.dataDir ?? temporaryDir(t);
  const devnet = await startDevnet(
    { dataDir, modelsDirs: [modelsDir], anyPort: true, ...options },
    { log: silentLogger },
  );
  t.after(() => devnet.close());
  return devnet;
}

export function clientOf(devnet: Devnet): BridgeClient {
  return createBridgeClient({ url: devnet.network.bridgeUrl, apiKey: readApiKey(devnet.layout.dataDir) });
}

export async function argsFor(
  client: BridgeClient,
  prompt: string,
  seed: number,
  more: object = {},
): Promise<string> {
  const [model] = await client.models();
  assert.ok(model, "a model is on offer");
  return sdTaskArgsFor({ ...model.defaults, model: model.id, prompt, seed, ...more }).text;
}

/** Waits for the task's end. */
export async function finished(client: BridgeClient, id: string): Promise<BridgeTask> {
  let last: BridgeTask | undefined;
  for await (const task of client.follow(id, AbortSignal.timeout(300_000))) last = task;
  assert.ok(last);
  return last;
}

/** Submits, follows, fetches and checks one image against its receipt. */
export async function verifiedImage(
  client: BridgeClient,
  taskArgs: string,
): Promise<{ task: BridgeTask; image: Uint8Array; receipt: Receipt }> {
  const { id } = await client.createTask({ taskType: 0, taskArgs });
  const task = await finished(client, id);
  if (task.status !== "done") throw deserializeError(task.error!);
  const image = await client.getImage(id, 0);
  const receipt = parseReceipt(await client.getReceipt(id));
  assert.deepEqual(verifyReceipt(receipt, { taskArgs, files: [image] }), []);
  return { task, image, receipt };
}

/** The books balance to the wei, with this much in escrow for tasks that are under way. */
export async function assertBooksBalance(chain: Chain, escrowWei = 0n): Promise<void> {
  const { supplyWei, heldWei, vaultWei, owedWei } = await readBooks(chain);
  assert.equal(heldWei, supplyWei, "all CNX is accounted for");
  assert.equal(vaultWei, owedWei + escrowWei, "the vault holds what it owes");
}
