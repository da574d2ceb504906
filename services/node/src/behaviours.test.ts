import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeStatus, TaskStatus, Verdict } from "@hydrogen/protocol";
import { behaviours } from "./testing/behaviours.ts";
import { startTestNetwork } from "./testing/test-network.ts";

const cnx = 10n ** 18n;

test("a node that lies is slashed and stays out; the others' picture counts", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t);
  const [liar, ...honest] = network.nodes;
  const running = await liar!.start({ behaviour: behaviours.lying });
  for (const node of honest) await node.start();
  await network.joined(0, 1, 2);
  const { taskId, files } = await network.runTask();
  assert.equal(files.length, 1);
  const task = await network.chain.task.getTask(taskId);
  assert.equal(task.status, TaskStatus.Done);
  const info = await network.chain.node.getNodeInfo(liar!.address);
  assert.equal(info.status, NodeStatus.Quit);
  assert.equal(await network.chain.token.balanceOf(network.pool), 400n * cnx);
  // It has 600 CNX left, enough to join again, but its operator must want that.
  const report = await network.until(async () => {
    const { data } = (await (await fetch(`${running.apiUrl}/v1/status`)).json()) as {
      data: { membership?: { kind: string }; status: string };
    };
    return data.membership?.kind === "removed" && data;
  });
  assert.equal(report.status, "Quit");
  assert.equal(await network.chain.token.balanceOf(liar!.address), 600n * cnx);
});

test("a silent node costs the task only the grace period", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t, { parameters: { graceSec: 1n } });
  const [silent, ...honest] = network.nodes;
  await silent!.start({ behaviour: behaviours.silent });
  for (const node of honest) await node.start();
  await network.joined(0, 1, 2);
  const { taskId } = await network.runTask();
  const task = await network.chain.task.getTask(taskId);
  const round = task.nodes.indexOf(silent!.address);
  assert.equal(task.verdicts[round], Verdict.Missed);
  const info = await network.chain.node.getNodeInfo(silent!.address);
  assert.equal(info.misses, 1n);
  assert.equal(info.stakeWei, 400n * cnx);
});

test("another node uploads for a result node that does not, and takes its share", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t, { parameters: { uploadSec: 30n } });
  // Whoever becomes the result node will not upload within its time.
  let resultNode: string | undefined;
  for (const node of network.nodes)
    await node.start({
      behaviour: {
        ...behaviours.noUpload,
        permits: (kind) => kind !== "upload" || (resultNode !== undefined && resultNode !== node.address),
      },
    });
  await network.joined(0, 1, 2);
  const taskId = await network.createTask();
  const task = await network.until(async () => {
    const found = await network.chain.task.getTask(taskId);
    return found.verdicts.every((verdict) => verdict === Verdict.Result) && found;
  });
  const first = Number(task.resultRound);
  resultNode = task.nodes[first];
  await network.passTime(31);
  const done = await network.until(async () => {
    const found = await network.chain.task.getTask(taskId);
    return found.status === TaskStatus.Done && found;
  });
  assert.notEqual(Number(done.resultRound), first);
  assert.equal(done.verdicts[first], Verdict.Missed);
  const helper = await network.chain.node.getNodeInfo(done.nodes[Number(done.resultRound)]!);
  assert.equal(helper.earnedWei, 20n * cnx);
  assert.ok((await network.relayClient.getResult(taskId, 0)).length > 0);
});
