import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReceipt, verifyReceipt } from "@hydrogen/protocol";
import { agreedFiles } from "@hydrogen/sdk/testing";
import { isHydrogenError } from "@hydrogen/std";
import { finished, type SpawnedBridge, someArgs, startTestBridge } from "./testing/test-bridge.ts";

const cnx = 10n ** 18n;

test("a bridge killed at every step of a task pays once and delivers once", {
  timeout: 300_000,
}, async (t) => {
  const bridge = await startTestBridge(t, { parameters: { revealSec: 600n, uploadSec: 600n } });
  const request = { taskType: 0, taskArgs: someArgs(), idempotencyKey: "one task" };
  const create = async (spawned: SpawnedBridge) =>
    (await bridge.client(await spawned.url).createTask(request)).id;
  const dieAt = async (...points: string[]) => {
    for (const point of points) assert.equal(await bridge.spawn(point).exited, "SIGKILL", point);
  };

  // The answer may be lost with the process: the client asks again with the same key.
  const first = bridge.spawn("creating");
  const lost = await create(first).catch((error: unknown) => error);
  assert.ok(typeof lost === "string" || isHydrogenError(lost, "BRIDGE_UNREACHABLE"));
  assert.equal(await first.exited, "SIGKILL");
  assert.equal(await bridge.chain.task.totalTasks(), 0n);

  await dieAt("creating", "uploading_args", "drawing", "executing");
  const nodes = await bridge.drawn(1n);
  for (const node of nodes) await node.commit(1n);
  await dieAt("revealing");
  for (const node of nodes) await node.reveal(1n);
  await dieAt("fetching");
  await bridge.upload(1n, nodes[0]!);
  await dieAt("verifying", "kept", "ended");

  const url = await bridge.spawn().url;
  const id = await create({ url: Promise.resolve(url) } as SpawnedBridge);
  const client = bridge.client(url);
  const task = await finished(client, id);
  assert.deepEqual([task.status, task.task_id, task.error], ["done", "1", null]);
  assert.deepEqual(await client.getImage(id, 0), agreedFiles[0]);
  const receipt = parseReceipt(await client.getReceipt(id));
  assert.deepEqual(verifyReceipt(receipt, { taskArgs: request.taskArgs, files: [...agreedFiles] }), []);
  assert.equal(receipt.transactions[0]!.name, "createTask");
  assert.equal(await bridge.chain.task.totalTasks(), 1n);
  assert.equal(await bridge.chain.token.balanceOf(bridge.wallet), 970n * cnx);
});
