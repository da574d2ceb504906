import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeStatus, TaskStatus, Verdict } from "@hydrogen/protocol";
import { deferred } from "@hydrogen/std";
import { startTestNetwork, type TestNode } from "./testing/test-network.ts";

const cnx = 10n ** 18n;

/**
 * The points of a node's life with its first task, in the order it passes them: one for every state that its disk,
 * the chain and the relay can be in together.
 */
const beforeTheTask = ["approve:mined", "join:mined"];
const untilRevealed = [
  "selected",
  "args:kept",
  "running",
  "executed",
  "outcome:kept",
  "commit:sending",
  "reveal:before",
  "reveal:sending",
  "reveal:mined",
];
const afterwards = ["upload:before", "upload:after", "upload:kept", "report:sending", "closing"];

async function dieAt(node: TestNode, points: readonly string[]): Promise<void> {
  for (const point of points) {
    const killed = node.spawn(point);
    assert.equal(await killed.exited, "SIGKILL", point);
  }
}

test("a node killed at every step of its life joins once, loses no task, and is paid in full", {
  timeout: 600_000,
}, async (t) => {
  const network = await startTestNetwork(t, { parameters: { revealSec: 600n, uploadSec: 600n } });
  const [mortal, ...others] = network.nodes as [TestNode, TestNode, TestNode];
  // The others hold back their reveals, so that the mortal node becomes the result node.
  const mayReveal = deferred<void>();
  for (const node of others)
    await node.start({ faults: (point) => (point === "reveal:before" ? mayReveal.promise : undefined) });
  await dieAt(mortal, beforeTheTask);
  await network.joined(0, 1, 2);

  const taskId = await network.createTask();
  await dieAt(mortal, untilRevealed);
  mayReveal.resolve();
  await network.until(async () => (await network.chain.task.getTask(taskId)).status === TaskStatus.Uploading);
  await dieAt(mortal, afterwards);

  const task = await network.chain.task.getTask(taskId);
  assert.equal(task.status, TaskStatus.Done);
  assert.deepEqual(task.verdicts, [Verdict.Result, Verdict.Result, Verdict.Result]);
  assert.equal(task.nodes[Number(task.resultRound)], mortal.address);
  const info = await network.chain.node.getNodeInfo(mortal.address);
  assert.equal(info.status, NodeStatus.Available);
  assert.equal(info.stakeWei, 400n * cnx);
  assert.equal(info.earnedWei, 10n * cnx);
  assert.equal(info.misses, 0n);
  assert.equal(await network.chain.token.balanceOf(mortal.address), 600n * cnx);
  assert.ok((await network.relayClient.getResult(taskId, 0)).length > 0);

  // And it is as good as new.
  mortal.spawn();
  await network.runTask();
});

test("the engine does not outlive a node that was killed", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1 });
  const spawned = network.nodes[0]!.spawn();
  const url = await spawned.apiUrl;
  const pid = await network.until(async () => {
    const { data } = (await (await fetch(`${url}/v1/status`)).json()) as {
      data: { engine: { pid?: number } };
    };
    return data.engine.pid;
  });
  assert.ok(isAlive(pid));
  spawned.kill();
  await network.until(async () => !isAlive(pid));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
