import assert from "node:assert/strict";
import { test } from "node:test";
import { TaskStatus, Verdict } from "@hydrogen/protocol";
import { deferred } from "@hydrogen/std";
import { startTestNetwork } from "./testing/test-network.ts";
import { tinyArgs } from "./testing/tiny-model.ts";

const cnx = 10n ** 18n;

test("a task whose draw and commitments are reorganised away is finished in the new chain", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t);
  const mayReveal = deferred<void>();
  for (const node of network.nodes)
    await node.start({ faults: (point) => (point === "reveal:before" ? mayReveal.promise : undefined) });
  await network.joined(0, 1, 2);
  const taskId = await network.createTask(tinyArgs(), { draw: false });
  const before = await network.snapshot();
  await network.draw(taskId);
  await network.until(async () => {
    const { verdicts } = await network.chain.task.getTask(taskId);
    return verdicts.every((verdict) => verdict === Verdict.Committed);
  });
  await network.revert(before);
  mayReveal.resolve();
  await network.until(async () => (await network.chain.task.getTask(taskId)).status === TaskStatus.Done);
  for (const { address } of network.nodes) {
    const { stakeWei, earnedWei } = await network.chain.node.getNodeInfo(address);
    assert.equal(stakeWei, 400n * cnx);
    assert.equal(earnedWei, 10n * cnx);
  }
});

test("runs the task that took another's id in a reorganisation, not the other", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t);
  const mayRun = deferred<void>();
  for (const node of network.nodes)
    await node.start({ faults: (point) => (point === "args:kept" ? mayRun.promise : undefined) });
  await network.joined(0, 1, 2);
  const before = await network.snapshot();
  const first = await network.createTask(tinyArgs({ prompt: "a red apple" }));
  await network.until(async () => {
    const ids = await Promise.all(
      network.nodes.map(({ address }) => network.chain.task.getNodeTask(address)),
    );
    return ids.every((taskId) => taskId === first);
  });
  network.forgetApplication();
  await network.revert(before);
  const { taskId, receipt } = await network.runTask(tinyArgs({ prompt: "a blue house", seed: 8 }), {
    onStage: (stage) => {
      if (stage === "executing") mayRun.resolve();
    },
  });
  assert.equal(taskId, first);
  assert.ok(receipt);
});
