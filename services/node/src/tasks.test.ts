import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeStatus, TaskStatus, Verdict } from "@hydrogen/protocol";
import { deferred } from "@hydrogen/std";
import { startTestNetwork, type TestNetwork } from "./testing/test-network.ts";
import { tinyArgs } from "./testing/tiny-model.ts";

const cnx = 10n ** 18n;

async function startAll(network: TestNetwork) {
  const running = [];
  for (const node of network.nodes) running.push(await node.start());
  await network.joined(...network.nodes.keys());
  return running;
}

const ended = (network: TestNetwork, taskId: bigint) =>
  network.until(async () => {
    const task = await network.chain.task.getTask(taskId);
    return (task.status === TaskStatus.Done || task.status === TaskStatus.Aborted) && task;
  });

const reasonOf = async (network: TestNetwork, taskId: bigint): Promise<string | undefined> => {
  const events = await network.chain.getLogs({ fromBlock: 0n, toBlock: await network.chain.blockNumber() });
  for (const event of events)
    if (event.name === "TaskAborted" && event.args.taskId === taskId) return event.args.reason;
  return undefined;
};

test("a task that no engine can do ends as reported, with a fee for the reporters and no slash", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t);
  await startAll(network);
  const args = JSON.parse(tinyArgs());
  args.scheduler.args = { beta_start: 2 };
  const taskId = await network.createTask(JSON.stringify(args));
  const task = await ended(network, taskId);
  assert.equal(task.status, TaskStatus.Aborted);
  assert.deepEqual(task.verdicts, [Verdict.Error, Verdict.Error, Verdict.Error]);
  assert.equal(await reasonOf(network, taskId), "Task error reported");
  for (const { address } of network.nodes) {
    const { stakeWei, earnedWei } = await network.chain.node.getNodeInfo(address);
    assert.equal(stakeWei, 400n * cnx);
    assert.equal(earnedWei, cnx);
  }
});

test("a model that nobody has is no error of the task: the nodes stay silent until it is overdue", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t, { parameters: { commitSec: 60n } });
  const [first] = await startAll(network);
  const taskId = await network.createTask(tinyArgs({ model: "nobody/nothing" }));
  await network.until(async () => {
    const { data } = (await (await fetch(`${first!.apiUrl}/v1/status`)).json()) as {
      data: { rounds: { failure?: string }[] };
    };
    return data.rounds[0]?.failure === "MODEL_UNKNOWN";
  });
  const { verdicts } = await network.chain.task.getTask(taskId);
  assert.deepEqual(verdicts, [Verdict.None, Verdict.None, Verdict.None]);
  await network.passTime(61);
  const task = await ended(network, taskId);
  assert.equal(task.status, TaskStatus.Aborted);
  assert.equal(await reasonOf(network, taskId), "Task Cancelled");
  await network.until(async () => {
    const statuses = await Promise.all(
      network.nodes.map(({ address }) => network.chain.node.getNodeStatus(address)),
    );
    return statuses.every((status) => status === NodeStatus.Available);
  });
});

test("a task that its creator does not draw is drawn by a node", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t);
  await startAll(network);
  const taskId = await network.createTask(tinyArgs(), { draw: false });
  assert.equal((await ended(network, taskId)).status, TaskStatus.Done);
});

test("a task that nobody can draw gives its fee back once its time in the queue is over", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1 });
  await startAll(network);
  const balance = () => network.chain.token.balanceOf(network.application.address);
  const before = await balance();
  const taskId = await network.createTask(tinyArgs(), { withArgs: false, draw: false });
  assert.equal(await balance(), before - 30n * cnx);
  const task = await network.until(async () => {
    await network.passTime(60);
    const found = await network.chain.task.getTask(taskId);
    return found.status !== TaskStatus.Pending && found;
  });
  assert.equal(task.status, TaskStatus.Aborted);
  assert.equal(await reasonOf(network, taskId), "Task queue timeout");
  assert.equal(await balance(), before);
});

test("waits for a relay that is away while there are args to fetch and files to upload", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t);
  const uploading = deferred<void>();
  const relayIsAway = deferred<void>();
  for (const node of network.nodes)
    await node.start({
      faults: async (point) => {
        if (point !== "upload:before") return;
        uploading.resolve();
        await relayIsAway.promise;
      },
    });
  await network.joined(0, 1, 2);
  const taskId = await network.createTask(tinyArgs(), { draw: false });
  await network.relay.close();
  await network.draw(taskId);
  await network.until(async () => {
    const statuses = await Promise.all(
      network.nodes.map(({ address }) => network.chain.node.getNodeStatus(address)),
    );
    return statuses.every((status) => status === NodeStatus.Busy);
  });
  await network.restartRelay();
  await uploading.promise;
  await network.relay.close();
  relayIsAway.resolve();
  await network.restartRelay();
  assert.equal((await ended(network, taskId)).status, TaskStatus.Done);
});

test("works through a queue of tasks that nobody draws for them", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t);
  await startAll(network);
  const taskIds: bigint[] = [];
  for (const seed of [1, 2, 3, 4])
    taskIds.push(await network.createTask(tinyArgs({ seed }), { draw: false }));
  for (const taskId of taskIds) assert.equal((await ended(network, taskId)).status, TaskStatus.Done);
  const earnedWei = await Promise.all(
    network.nodes.map(async ({ address }) => (await network.chain.node.getNodeInfo(address)).earnedWei),
  );
  assert.deepEqual(earnedWei, [40n * cnx, 40n * cnx, 40n * cnx]);
});
