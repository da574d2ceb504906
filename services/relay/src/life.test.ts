import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectChain, connectRpc, createSender, memoryOutbox } from "@hydrogen/chain";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import { deployNetwork } from "@hydrogen/chain/node";
import { commitment, filesDigest, imagesResult, resultDigest, taskHash } from "@hydrogen/protocol";
import { createRelayClient } from "@hydrogen/sdk";
import { bytesToHex, type Hex, systemClock, waitFor } from "@hydrogen/std";
import { silentLogger } from "@hydrogen/telemetry";
import { parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { startRelay } from "./relay.ts";
import { argsText, picture } from "./testing/relay-fixture.ts";

const accounts = [1, 2, 3, 4].map((digit) => privateKeyToAccount(`0x${String(digit).repeat(64)}`));
const [creator, ...nodeAccounts] = accounts as [(typeof accounts)[0], ...typeof accounts];
const salt: Hex = `0x${"5a".repeat(32)}`;
const files = [picture(1), picture(2)];
const result = bytesToHex(imagesResult(files));
const digest = filesDigest(files);

/** The real contracts with three staked nodes, and a relay. */
async function startNetwork(t: TestContext) {
  const embedded = await startEmbeddedChain({
    dev: true,
    alloc: Object.fromEntries(accounts.map(({ address }) => [address, parseEther("10")])),
  });
  t.after(() => embedded.close());
  const rpc = await connectRpc({ rpcUrl: embedded.url, pollMs: 20 });
  t.after(rpc.close);
  const senders = accounts.map((account) => createSender({ chain: rpc, account, outbox: memoryOutbox() }));
  const [owner, ...nodeSenders] = senders as [(typeof senders)[0], ...typeof senders];
  const addresses = await deployNetwork({ rpc, sender: owner, pool: `0x${"99".repeat(20)}` });
  const chain = await connectChain({ rpcUrl: embedded.url, addresses, pollMs: 20 });
  t.after(chain.close);
  const { token, node } = chain.calls;
  const approveTask = token.approve(addresses.task, parseEther("1000"));
  await owner.send({ key: "approve", call: approveTask });
  for (const sender of nodeSenders) {
    const stake = token.transfer(sender.address, parseEther("400"));
    await owner.send({ key: `stake ${sender.address}`, call: stake });
    await sender.send({ key: "approve", call: token.approve(addresses.node, parseEther("400")) });
    await sender.send({ key: "join", call: node.join("Test GPU", 8n) });
  }
  const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-relay-life-"));
  const relay = await startRelay({ dataDir, rpcUrl: embedded.url, addresses }, { log: silentLogger });
  t.after(async () => {
    await relay.close();
    rmSync(dataDir, { recursive: true });
  });
  const client = (account: (typeof accounts)[0]) =>
    createRelayClient(
      { url: relay.url, chainId: addresses.chainId, taskContract: addresses.task },
      { signer: account },
    );
  const pass = async (seconds: number) => {
    const request = rpc.client.request as (args: { method: string; params?: unknown[] }) => Promise<unknown>;
    await request({ method: "evm_increaseTime", params: [seconds] });
    await request({ method: "evm_mine" });
  };
  return { chain, owner, nodeSenders, client, relay, pass };
}

const lie = {
  files: [picture(3)],
  result: bytesToHex(imagesResult([picture(3)])),
  digest: filesDigest([picture(3)]),
};

/** Creates a task and draws its nodes; all commit and reveal, and the third has something else than the others. */
async function runTask({ chain, owner, nodeSenders, client }: Awaited<ReturnType<typeof startNetwork>>) {
  const { task } = chain.calls;
  const zero: Hex = `0x${"00".repeat(32)}`;
  const created = await owner.send({
    key: "create",
    call: task.createTask(0n, taskHash(argsText), zero, 8n),
  });
  const pending = chain.eventsIn(created.receipt).find((event) => event.name === "TaskPending");
  const taskId = pending!.args.taskId;
  await client(creator).uploadArgs(taskId, argsText);
  await owner.send({ key: "draw", call: task.drawNodes(taskId) });
  const { nodes } = await chain.task.getTask(taskId);
  const rounds = nodes.map((address, round) => ({
    round,
    sender: nodeSenders.find((sender) => sender.address === address)!,
    client: client(nodeAccounts.find((account) => account.address === address)!),
  }));
  for (const { round, sender, client: nodeClient } of rounds) {
    assert.equal(await nodeClient.getTaskArgs(taskId), argsText);
    await nodeClient.postProgress(taskId, { round, stage: "denoising", step: round, steps: 4 });
    const commit = commitment({
      taskId,
      round,
      node: sender.address,
      resultDigest: round === 2 ? resultDigest(lie.result, lie.digest) : resultDigest(result, digest),
      salt,
    });
    const call = task.submitTaskResultCommitment(taskId, BigInt(round), commit);
    await sender.send({ key: "commit", call });
  }
  assert.deepEqual(
    (await client(creator).getProgress(taskId)).map(({ node, step }) => [node, step]),
    nodes.map((address, round) => [address.toLowerCase(), round]),
  );
  for (const { round, sender } of rounds) {
    const revealed = round === 2 ? ([lie.result, lie.digest] as const) : ([result, digest] as const);
    const call = task.discloseTaskResult(taskId, BigInt(round), ...revealed, salt);
    await sender.send({ key: "reveal", call });
  }
  return { taskId, rounds };
}

test("serves a task on the real contracts from args to pictures", async (t) => {
  const network = await startNetwork(t);
  const { chain, client } = network;
  assert.deepEqual(await client(creator).nodesNumber(), { all_nodes: 3, available_nodes: 3 });
  const listed = await client(creator).nodesData(0, 20);
  assert.deepEqual(
    listed.map(({ card_model, v_ram, stake, cnx_balance, status }) => [
      card_model,
      v_ram,
      stake,
      cnx_balance,
      status,
    ]),
    Array(3).fill(["Test GPU", 8, parseEther("400").toString(), "0", "available"]),
  );
  assert.equal((await client(creator).nodesData(2, 20)).length, 1);
  assert.deepEqual(await client(creator).nodesData(3, 20), []);

  const { taskId, rounds } = await runTask(network);
  const [first] = rounds;
  await first!.client.uploadResults(taskId, files);
  const { task } = chain.calls;
  await first!.sender.send({ key: "uploaded", call: task.reportResultsUploaded(taskId, 0n) });
  assert.deepEqual(await client(creator).getResult(taskId, 1), files[1]);
  const isDone = async () => {
    const view = await client(creator).getTask(taskId);
    return view.status === "done" && view;
  };
  const view = await waitFor(isDone, { clock: systemClock, signal: AbortSignal.timeout(30_000) });
  assert.deepEqual(
    view.selected_nodes.map(({ address }) => address),
    rounds.map(({ sender }) => sender.address.toLowerCase()),
  );
});

test("lets another agreeing node upload after the result node's time, and never the one that was slashed", async (t) => {
  const network = await startNetwork(t);
  const { taskId, rounds } = await runTask(network);
  const [, second, third] = rounds;
  await assert.rejects(second!.client.uploadResults(taskId, files), {
    code: "RELAY_UPLOAD_NOT_DUE",
    retryable: true,
  });
  await network.pass(121);
  for (const theirs of [lie.files, files]) {
    await assert.rejects(third!.client.uploadResults(taskId, theirs), { code: "RELAY_SIGNER_NOT_ALLOWED" });
  }
  await second!.client.uploadResults(taskId, files);
  assert.deepEqual(await network.client(creator).getResult(taskId, 0), files[0]);
});
