import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { NodeStatus, TaskStatus } from "@hydrogen/protocol";
import { deferred } from "@hydrogen/std";
import { privateKeyToAccount } from "viem/accounts";
import type { RunningNode } from "./node.ts";
import { startTestNetwork, type TestNetwork, type TestNode } from "./testing/test-network.ts";

const cnx = 10n ** 18n;

async function command(node: TestNode, running: RunningNode, name: string): Promise<void> {
  const token = readFileSync(join(node.config.dataDir, "api-token"), "utf8");
  const response = await fetch(`${running.apiUrl}/v1/${name}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(response.status, 202);
}

function becomes(network: TestNetwork, node: TestNode, status: number): Promise<boolean> {
  return network.until(async () => (await network.chain.node.getNodeStatus(node.address)) === status);
}

test("pauses, resumes, leaves and comes back as its operator says, across restarts", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1 });
  const node = network.nodes[0]!;
  let running = await node.start();
  await becomes(network, node, NodeStatus.Available);
  await command(node, running, "pause");
  await becomes(network, node, NodeStatus.Paused);
  await running.close();
  running = await node.start();
  assert.match(await (await fetch(`${running.apiUrl}/v1/status`)).text(), /"desired":"paused"/);
  await command(node, running, "resume");
  await becomes(network, node, NodeStatus.Available);
  await command(node, running, "quit");
  await becomes(network, node, NodeStatus.Quit);
  assert.equal(await network.chain.token.balanceOf(node.address), 1_000n * cnx);
  await running.close();
  // A node that was told to leave does not come back by being started.
  running = await node.start();
  await network.until(async () => (await fetch(`${running.apiUrl}/health`)).ok);
  assert.equal(await network.chain.node.getNodeStatus(node.address), NodeStatus.Quit);
  await command(node, running, "resume");
  await becomes(network, node, NodeStatus.Available);
});

test("a node told to leave in the middle of a task finishes it, and takes everything along", {
  timeout: 300_000,
}, async (t) => {
  const payout = privateKeyToAccount(`0x${"77".repeat(32)}`).address;
  const network = await startTestNetwork(t, { config: { payoutAddress: payout } });
  const inside = deferred<void>();
  const told = deferred<void>();
  const [leaving, ...others] = network.nodes as [TestNode, ...TestNode[]];
  const running = await leaving.start({
    faults: (point) => {
      if (point !== "executed") return;
      inside.resolve();
      return told.promise;
    },
  });
  for (const node of others) await node.start();
  await network.joined(0, 1, 2);
  const taskId = await network.createTask();
  await inside.promise;
  await command(leaving, running, "quit");
  await becomes(network, leaving, NodeStatus.PendingQuit);
  told.resolve();
  await becomes(network, leaving, NodeStatus.Quit);
  await network.until(async () => (await network.chain.task.getTask(taskId)).status === TaskStatus.Done);
  await network.until(async () => (await network.chain.token.balanceOf(payout)) === 10n * cnx);
  assert.equal(await network.chain.token.balanceOf(leaving.address), 1_000n * cnx);
});

test("withdraws to the payout address when the threshold is reached", { timeout: 300_000 }, async (t) => {
  const payout = privateKeyToAccount(`0x${"78".repeat(32)}`).address;
  const network = await startTestNetwork(t, {
    config: { payoutAddress: payout, withdrawThresholdWei: (20n * cnx).toString() },
  });
  for (const node of network.nodes) await node.start();
  await network.joined(0, 1, 2);
  await network.runTask();
  assert.equal(await network.chain.token.balanceOf(payout), 0n);
  await network.runTask();
  await network.until(async () => (await network.chain.token.balanceOf(payout)) === 60n * cnx);
});

test("joins by itself as soon as its wallet holds the stake", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1, nodeCnx: 399n * cnx });
  const node = network.nodes[0]!;
  const running = await node.start();
  await network.until(async () =>
    (await (await fetch(`${running.apiUrl}/v1/status`)).text()).includes(
      '"missingWei":"1000000000000000000"',
    ),
  );
  await network.giveCnx(node.address, cnx);
  await becomes(network, node, NodeStatus.Available);
});

test("lets no second node into its data directory", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1 });
  await network.nodes[0]!.start();
  await assert.rejects(network.nodes[0]!.start(), { code: "STORAGE_IN_USE" });
});

test("refuses a wrong password, another chain, and a taken port, and leaves nothing open", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1 });
  const node = network.nodes[0]!;
  await assert.rejects(node.start({ environment: { NODE_PASSWORD: "wrong" } }), {
    code: "KEYSTORE_PASSWORD_WRONG",
  });
  await assert.rejects(node.start({ environment: {} }), { code: "NODE_PASSWORD_MISSING" });
  const wrongChain = { ...node.config, addresses: { ...node.config.addresses, chainId: 1 } };
  await assert.rejects(node.start({}, wrongChain), { code: "CHAIN_WRONG_ID" });
  const port = Number(new URL(network.relay.url).port);
  await assert.rejects(node.start({}, { ...node.config, api: { host: "127.0.0.1", port } }), {
    code: "NODE_LISTEN_FAILED",
  });
  await node.start();
});

test("as a program it ends cleanly on SIGTERM in the middle of a run, and the next one finishes the task", {
  timeout: 300_000,
}, async (t) => {
  const network = await startTestNetwork(t);
  const [node, ...others] = network.nodes as [TestNode, ...TestNode[]];
  for (const other of others) await other.start();
  const main = () =>
    fork(fileURLToPath(new URL("./main.ts", import.meta.url)), [node.configPath], {
      env: { ...process.env, NODE_PASSWORD: "correct horse" },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
  const first = main();
  t.after(() => first.kill("SIGKILL"));
  await network.joined(0, 1, 2);
  const taskId = await network.createTask();
  await network.until(async () => (await network.chain.task.getNodeTask(node.address)) === taskId);
  first.kill("SIGTERM");
  assert.deepEqual(await once(first, "exit"), [0, null]);
  const second = main();
  t.after(() => second.kill("SIGKILL"));
  await network.until(async () => (await network.chain.task.getTask(taskId)).status === TaskStatus.Done);
});

test("as a program it says what is wrong with its configuration", { timeout: 300_000 }, async (t) => {
  const network = await startTestNetwork(t, { nodes: 1 });
  const path = join(network.dir, "broken.json");
  writeFileSync(path, JSON.stringify({ ...network.nodes[0]!.configInput, vramGb: "much" }));
  const child = fork(fileURLToPath(new URL("./main.ts", import.meta.url)), [path], { silent: true });
  let said = "";
  child.stderr!.on("data", (chunk) => {
    said += chunk;
  });
  assert.deepEqual(await once(child, "exit"), [1, null]);
  assert.match(said, /NODE_CONFIG_INVALID.*vramGb/);
});
