import assert from "node:assert/strict";
import { test } from "node:test";
import { pngSize, TaskStatus } from "@hydrogen/protocol";
import { startTestNetwork } from "./testing/test-network.ts";

const cnx = 10n ** 18n;

test("three nodes join, run a task, agree, and are paid to the wei", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t);
  for (const node of network.nodes) await node.start();
  await network.joined(0, 1, 2);
  const { taskId, files } = await network.runTask();
  assert.deepEqual(pngSize(files[0]!), { width: 64, height: 64 });
  const task = await network.chain.task.getTask(taskId);
  assert.equal(task.status, TaskStatus.Done);
  const earned = await Promise.all(
    network.nodes.map(async ({ address }) => (await network.chain.node.getNodeInfo(address)).earnedWei),
  );
  assert.equal(
    earned.reduce((a, b) => a + b),
    30n * cnx,
  );
});
