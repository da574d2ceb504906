import assert from "node:assert/strict";
import { test } from "node:test";
import { imagesResult, taskHash } from "@hydrogen/protocol";
import { bytesToHex } from "@hydrogen/std";
import { argsText, people, picture, startFixture } from "./testing/relay-fixture.ts";

const { creator, nodes, stranger } = people;
const files = [picture(1)];

test("forgets a task whose creation is taken back, and attaches its args again when it returns", async (t) => {
  const { chain, client, task, followed } = await startFixture(t);
  const before = await chain.snapshot();
  await task.drawn(1n);
  await client(creator).uploadArgs(1n, argsText);
  await followed();
  await chain.reorganise(before);
  await followed();
  await assert.rejects(client(creator).getTask(1n), { code: "RELAY_TASK_NOT_FOUND", retryable: true });
  // Another chain of events: somebody else's task takes the number, ours the next one.
  await chain.emit("TaskPending", {
    taskId: 1n,
    taskType: 0n,
    creator: stranger.address,
    taskHash: taskHash(argsText),
    dataHash: `0x${"00".repeat(32)}`,
    vramLimit: 8n,
    feeWei: 1n,
  });
  await task.drawn(2n);
  await followed();
  assert.equal((await client(creator).getTask(2n)).task_args, argsText);
  assert.equal((await client(nodes[2]).getTask(2n)).task_args, argsText);
  await assert.rejects(client(stranger).getTask(1n), { code: "RELAY_ARGS_NOT_UPLOADED" });
  await assert.rejects(client(creator).getTask(1n), { code: "RELAY_SIGNER_NOT_ALLOWED" });
});

test("shows a result only while the chain has it, and does not ask for it twice", async (t) => {
  const { chain, client, task, followed } = await startFixture(t);
  await task.drawn(1n);
  const before = await chain.snapshot();
  await task.revealed(1n, 0, files);
  await task.revealed(1n, 1, files);
  const success = { taskId: 1n, result: bytesToHex(imagesResult(files)), resultNode: nodes[0].address };
  await chain.emit("TaskSuccess", success);
  await client(nodes[0]).uploadResults(1n, files);
  await followed();
  assert.deepEqual(await client(creator).getResult(1n, 0), files[0]);
  await chain.reorganise(before);
  await task.revealed(1n, 2, [picture(9)]);
  await followed();
  await assert.rejects(client(creator).getResult(1n, 0), { code: "RELAY_TASK_NOT_DECIDED" });
  await assert.rejects(client(nodes[0]).uploadResults(1n, files), { code: "RELAY_TASK_NOT_DECIDED" });
  await task.revealed(1n, 1, files);
  await task.revealed(1n, 0, files);
  await chain.emit("TaskSuccess", success);
  await followed();
  assert.deepEqual(await client(creator).getResult(1n, 0), files[0]);
});

test("gives the result of the branch that stayed", async (t) => {
  const { chain, client, task, followed } = await startFixture(t);
  const others = [picture(2)];
  await task.drawn(1n);
  const before = await chain.snapshot();
  const succeed = async (agreed: readonly Uint8Array[]) => {
    await task.revealed(1n, 0, agreed);
    await task.revealed(1n, 1, agreed);
    const result = bytesToHex(imagesResult(agreed));
    await chain.emit("TaskSuccess", { taskId: 1n, result, resultNode: nodes[0].address });
    await client(nodes[0]).uploadResults(1n, agreed);
  };
  await succeed(files);
  await followed();
  await chain.reorganise(before);
  await followed();
  await succeed(others);
  await followed();
  assert.deepEqual(await client(creator).getResult(1n, 0), others[0]);
});

test("sees a block that is not followed yet, and one that needs more confirmations", async (t) => {
  const { client, task, fetch } = await startFixture(t, { config: { confirmations: 20 } });
  await task.succeeded(1n, files);
  await client(creator).uploadArgs(1n, argsText);
  assert.equal((await client(nodes[1]).getTask(1n)).status, "uploading");
  await client(nodes[0]).uploadResults(1n, files);
  assert.deepEqual(await client(creator).getResult(1n, 0), files[0]);
  const { chain } = await (await fetch("/health")).json();
  assert.ok(chain.followed_block === null || chain.head_block - chain.followed_block >= 20);
});

test("follows nothing twice across a restart", async (t) => {
  const fixture = await startFixture(t);
  const { client, task, followed } = fixture;
  await task.succeeded(1n, files);
  await followed();
  await fixture.restart();
  await task.drawn(2n);
  await followed();
  await client(creator).uploadArgs(2n, argsText);
  assert.equal((await client(creator).getTask(1n)).selected_nodes.length, 3);
  assert.equal((await client(creator).getTask(2n)).selected_nodes.length, 3);
});
