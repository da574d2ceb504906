import assert from "node:assert/strict";
import { test } from "node:test";
import { Verdict } from "@hydrogen/protocol";
import { equalHex, systemClock, waitFor } from "@hydrogen/std";
import {
  argsFor,
  assertBooksBalance,
  clientOf,
  finished,
  network,
  quickParameters,
  verifiedImage,
} from "./support.ts";

const stakeWei = 400n * 10n ** 18n;

test("a node that lies is slashed, and the image still comes", async (t) => {
  const devnet = await network(t, { behaviours: { 1: "lying" }, parameters: quickParameters });
  const client = clientOf(devnet);
  const { receipt } = await verifiedImage(client, await argsFor(client, "a red apple", 7));
  const liar = devnet.network.nodes[1]!.address;
  const pool = devnet.network.wallets.pool as `0x${string}`;
  assert.deepEqual(
    receipt.nodes.filter(({ slashed }) => slashed).map(({ node }) => node),
    [liar],
  );
  assert.ok(receipt.nodes.every(({ node, paymentWei }) => equalHex(node, liar) === (paymentWei === 0n)));
  assert.equal(await devnet.chain.token.balanceOf(pool), stakeWei);
  assert.equal(await devnet.chain.node.getNodeStatus(liar as `0x${string}`), 0);
  await assertBooksBalance(devnet.chain);
});

test("a silent node holds nothing up: the task ends well within its commit deadline, and the node pays for it", async (t) => {
  const devnet = await network(t, {
    behaviours: { 2: "silent" },
    parameters: { ...quickParameters, commitSec: 300n },
  });
  const client = clientOf(devnet);
  const { receipt } = await verifiedImage(client, await argsFor(client, "a cat", 3));
  const silent = receipt.nodes.find(({ node }) => equalHex(node, devnet.network.nodes[2]!.address))!;
  assert.equal(silent.verdict, "Missed");
  assert.equal(silent.paymentWei, 0n);
  const info = await devnet.chain.node.getNodeInfo(silent.node);
  const honest = await devnet.chain.node.getNodeInfo(devnet.network.nodes[0]!.address as `0x${string}`);
  assert.equal(info.misses, 1n);
  assert.ok(info.weight < honest.weight, "it is drawn less often from now on");
  await assertBooksBalance(devnet.chain);
});

test("a node that commits and then falls silent keeps nobody's money: its share goes back, and it pays for it", async (t) => {
  const devnet = await network(t, {
    behaviours: { 2: "commitsThenSilent" },
    parameters: { ...quickParameters, revealSec: 10n },
  });
  const client = clientOf(devnet);
  const { id } = await client.createTask({ taskType: 0, taskArgs: await argsFor(client, "a sun", 5) });
  assert.equal((await finished(client, id)).status, "done");
  const taskId = await devnet.chain.task.totalTasks();
  const silent = devnet.network.nodes[2]!.address as `0x${string}`;
  const { nodes, verdicts } = await waitFor(
    async () => {
      const task = await devnet.chain.task.getTask(taskId);
      return task.verdicts.includes(Verdict.Committed) ? undefined : task;
    },
    { clock: systemClock, signal: AbortSignal.timeout(60_000), intervalMs: 300 },
  );
  assert.deepEqual(
    nodes.filter((_, round) => verdicts[round] === Verdict.Missed),
    [silent],
  );
  const info = await devnet.chain.node.getNodeInfo(silent);
  assert.equal(info.stakeWei, stakeWei - 10n ** 18n);
  assert.equal(info.taskId, 0n);
  await assertBooksBalance(devnet.chain);
});

test("a result node that never uploads is replaced, and loses its share and some stake", async (t) => {
  const devnet = await network(t, {
    behaviours: { 0: "noUpload", 1: "noUpload" },
    parameters: quickParameters,
  });
  const client = clientOf(devnet);
  // Whoever reveals first is the result node; with two of three that never upload, a few tasks meet one.
  for (let seed = 1; seed <= 6; seed++) {
    const { receipt } = await verifiedImage(client, await argsFor(client, "a star", seed));
    await assertBooksBalance(devnet.chain);
    const resultNode = receipt.nodes.find(({ node }) => equalHex(node, receipt.resultNode!))!;
    if (resultNode.verdict !== "Missed") continue;
    const uploader = receipt.nodes.find(({ paymentWei }) => paymentWei > receipt.feeWei / 2n)!;
    assert.ok(
      equalHex(uploader.node, devnet.network.nodes[2]!.address),
      "the one node that uploads took over",
    );
    assert.equal(resultNode.paymentWei, 0n);
    assert.ok((await devnet.chain.node.getNodeInfo(resultNode.node)).stakeWei < stakeWei);
    return;
  }
  assert.fail("no task had a result node that does not upload");
});
