import assert from "node:assert/strict";
import { test } from "node:test";
import { keccak256, parseEther, toHex } from "viem";
import {
  createNetwork,
  feeWei,
  nodeStatus,
  refused,
  shareWei,
  stakeWei,
  taskStatus,
  taskType,
  verdict,
} from "./support/network.ts";

const cat = { result: "0x8f3a5c7e91b2d4f6" } as const;
/** Four bits away from the cat. */
const nearCat = { result: "0x8f3a5c7e91b2d4f9" } as const;
/** Five bits away from the cat. */
const farCat = { result: "0x8f3a5c7e91b2d5f9" } as const;
const dog = { result: "0x00ff00ff00ff00ff" } as const;

test("three agreeing nodes are paid a third each and the task ends with the upload", async () => {
  const net = await createNetwork();
  const creatorWei = await net.balance(net.creator);
  const taskId = await net.create();
  assert.equal((await net.getTask(taskId)).status, taskStatus.pending);
  const play = await net.draw(taskId);
  assert.equal(new Set(play.nodes).size, 3);
  let info = await play.info();
  assert.equal(info.status, taskStatus.executing);
  assert.equal(info.commitDeadline, net.evm.timeSec + 300n);
  assert.deepEqual([...info.nodes], play.nodes);
  assert.equal(info.feeWei, feeWei);
  for (const round of [0, 1, 2]) assert.equal(await play.status(round), nodeStatus.busy);
  assert.equal(await net.evm.call(net.task, "getNodeTask", [play.nodes[0]!]), taskId);

  await play.commit(1, cat);
  const quorum = await play.commit(0, cat);
  assert.equal(net.event(quorum, "TaskQuorumReached").revealFrom, net.evm.timeSec + 10n);
  const ready = await play.commit(2, nearCat);
  assert.equal(net.event(ready, "TaskResultCommitmentsReady").revealDeadline, net.evm.timeSec + 60n);
  info = await play.info();
  assert.equal(info.status, taskStatus.revealing);
  assert.ok(info.commitments.every((commitment) => BigInt(commitment) !== 0n));

  await play.reveal(2);
  const success = await play.reveal(0);
  const event = net.event(success, "TaskSuccess");
  assert.equal(event.resultNode, play.nodes[2], "the first revealer of the pair has to upload");
  assert.equal(event.result, nearCat.result);
  assert.equal(await play.status(0), nodeStatus.available);
  assert.equal(await play.status(2), nodeStatus.busy);
  assert.equal((await play.nodeInfo(0)).earnedWei, shareWei);
  await play.reveal(1);
  const upload = await play.upload(2);
  assert.ok(!net.eventNames(upload).includes("TaskRefunded"));

  info = await play.info();
  assert.equal(info.status, taskStatus.done);
  assert.equal(info.resultRound, 2n);
  assert.deepEqual([...info.results], [cat.result, cat.result, nearCat.result]);
  for (const round of [0, 1, 2]) {
    const node = await play.nodeInfo(round);
    assert.equal(node.status, nodeStatus.available);
    assert.equal(node.earnedWei, shareWei);
    assert.equal(node.weight, 9n);
    assert.equal(node.taskId, 0n);
  }
  assert.equal(await net.balance(net.creator), creatorWei - feeWei);
  assert.equal(await net.evm.call(net.task, "totalSuccessTasks", []), 1n);
});

test("a result that differs in five bits of one image is slashed, whichever round reveals it when", async () => {
  for (const order of [
    [0, 1, 2],
    [2, 0, 1],
    [0, 2, 1],
  ]) {
    const net = await createNetwork();
    const play = await net.play();
    await play.commitAll([cat, cat, farCat]);
    const poolWei = await net.balance(net.pool);
    for (const round of order) await play.reveal(round);
    const liar = await play.nodeInfo(2);
    assert.equal(liar.status, nodeStatus.quit);
    assert.equal(liar.stakeWei, 0n);
    assert.equal(await net.balance(net.pool), poolWei + stakeWei);
    const before = await net.balance(net.creator);
    await play.upload(Number((await play.info()).resultRound));
    assert.equal((await play.info()).status, taskStatus.done);
    assert.equal(await net.balance(net.creator), before + shareWei, "the liar's share goes back");
  }
});

test("a third result need only be close to one of the pair", async () => {
  const net = await createNetwork();
  const play = await net.play();
  // 0 and 1 are four bits apart; 2 is four bits from 1 and eight from 0.
  await play.commitAll([
    { result: "0x000000000000000f" },
    { result: "0x0000000000000000" },
    { result: "0x00000000000000f0" },
  ]);
  await play.revealAll();
  assert.equal((await play.nodeInfo(2)).earnedWei, shareWei);
});

test("several images must all be close", async () => {
  const images = `${cat.result}0011223344556677` as const;
  for (const [other, agrees] of [
    [`${nearCat.result}0011223344556670`, true],
    [`${farCat.result}0011223344556677`, false],
    [`${cat.result}ff11223344556677`, false],
    [cat.result, false],
    [`${images}0011223344556677`, false],
  ] as const) {
    const net = await createNetwork();
    const play = await net.play();
    await play.commitAll([{ result: images }, { result: other }, { result: images }]);
    await play.revealAll();
    assert.equal(await play.status(1), agrees ? nodeStatus.available : nodeStatus.quit, other);
  }
});

test("nine images are kept and compared like one", async () => {
  const nine = toHex(new Uint8Array(72).map((_, i) => i * 37));
  const near =
    `${nine.slice(0, -1)}${(Number.parseInt(nine.slice(-1), 16) ^ 15).toString(16)}` as `0x${string}`;
  const far =
    `${nine.slice(0, -6)}${(Number.parseInt(nine.slice(-6), 16) ^ 0xff0000).toString(16).padStart(6, "0")}` as `0x${string}`;
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([{ result: nine }, { result: near }, { result: far }]);
  await play.revealAll();
  assert.equal((await play.info()).results[0], nine);
  assert.equal((await play.info()).results[1], near);
  assert.equal(await play.status(1), nodeStatus.available);
  assert.equal(await play.status(2), nodeStatus.quit);
});

test("three different results abort the task, nobody is slashed, and everything returns", async () => {
  const net = await createNetwork();
  const before = await net.balance(net.creator);
  const play = await net.play();
  await play.commitAll([cat, dog, { result: "0xffffffff00000000" }]);
  await play.reveal(0);
  await play.reveal(1);
  assert.equal((await play.info()).status, taskStatus.revealing);
  const last = await play.reveal(2);
  assert.equal(net.event(last, "TaskAborted").reason, "Task result illegal");
  assert.equal((await play.info()).status, taskStatus.aborted);
  assert.equal(await net.balance(net.creator), before);
  for (const round of [0, 1, 2]) {
    assert.equal(await play.status(round), nodeStatus.available);
    assert.equal((await play.nodeInfo(round)).stakeWei, stakeWei);
  }
  assert.equal(await net.evm.call(net.task, "totalAbortedTasks", []), 1n);
});

test("two reveals that differ with a silent third abort as illegal", async () => {
  const net = await createNetwork();
  const before = await net.balance(net.creator);
  const play = await net.play();
  await play.commitAll([cat, dog, cat]);
  await play.reveal(0);
  await play.reveal(1);
  net.evm.advance(61);
  const end = await play.cancel();
  assert.equal(net.event(end, "TaskAborted").reason, "Task result illegal");
  assert.equal(net.event(end, "TaskNodeMissed").phase, verdict.committed);
  assert.equal(await net.balance(net.creator), before);
  assert.equal((await play.nodeInfo(2)).misses, 1n);
  assert.equal((await play.nodeInfo(2)).stakeWei, stakeWei - parseEther("1"));
});

test("two equal error reports pay a tenth of a share each and return the rest", async () => {
  for (const third of [{ errorClass: 1 }, undefined]) {
    const net = await createNetwork();
    const before = await net.balance(net.creator);
    const play = await net.play();
    await play.commit(0, { errorClass: 1 });
    await play.commit(1, { errorClass: 1 });
    if (third) await play.commit(2, third);
    else net.evm.advance(10);
    await play.reveal(0);
    const second = await play.reveal(1);
    const last = third ? await play.reveal(2) : second;
    assert.equal(net.event(last, "TaskAborted").reason, "Task error reported");
    const reporters = third ? 3n : 2n;
    assert.equal(await net.balance(net.creator), before - reporters * parseEther("1"));
    assert.equal((await play.nodeInfo(0)).earnedWei, parseEther("1"));
    assert.equal((await play.info()).verdicts[0], verdict.error);
  }
});

test("errors of different classes, or against a single result, are no verdict", async () => {
  for (const statements of [
    [{ errorClass: 1 }, { errorClass: 2 }, { errorClass: 1 }],
    [{ errorClass: 1 }, { errorClass: 1 }, cat],
    [{ errorClass: 3 }, cat, dog],
  ]) {
    const net = await createNetwork();
    const before = await net.balance(net.creator);
    const play = await net.play();
    await play.commitAll(statements);
    await play.reveal(0);
    await play.reveal(1);
    const last = await play.reveal(2);
    assert.equal(net.event(last, "TaskAborted").reason, "Task result illegal");
    assert.equal(await net.balance(net.creator), before);
    for (const round of [0, 1, 2]) assert.equal((await play.nodeInfo(round)).stakeWei, stakeWei);
  }
});

test("an error report against two equal results is slashed, first or last", async () => {
  for (const order of [
    [0, 1, 2],
    [1, 2, 0],
  ]) {
    const net = await createNetwork();
    const play = await net.play();
    await play.commitAll([{ errorClass: 2 }, cat, cat]);
    for (const round of order) await play.reveal(round);
    assert.equal(await play.status(0), nodeStatus.quit);
    assert.equal((await play.info()).status, taskStatus.uploading);
    await play.upload(1);
  }
});

test("a late third commitment is a missed one once the grace has passed and a reveal has come", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commit(0, cat);
  await play.commit(2, cat);
  assert.deepEqual(await refused(play.reveal(0), "RevealsNotOpen"), [play.taskId, net.evm.timeSec + 10n]);
  net.evm.advance(10);
  const opened = await play.reveal(0);
  const missed = net.event(opened, "TaskNodeMissed");
  assert.deepEqual([missed.node, missed.round, missed.phase], [play.nodes[1], 1n, verdict.none]);
  assert.ok(net.eventNames(opened).includes("TaskResultCommitmentsReady"));
  assert.equal(await play.status(1), nodeStatus.available);
  assert.equal((await play.nodeInfo(1)).weight, 4n);
  assert.equal((await play.nodeInfo(1)).stakeWei, stakeWei, "the first missed commitment is free");
  await refused(play.commit(1, cat), "IllegalTaskStatus");
  await play.reveal(2);
  const before = await net.balance(net.creator);
  await play.upload(0);
  assert.equal(await net.balance(net.creator), before + shareWei);
});

test("a third commitment after the grace still counts if no reveal has come", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commit(0, cat);
  await play.commit(1, cat);
  const deadline = (await play.info()).revealDeadline;
  net.evm.advance(30);
  await play.commit(2, cat);
  assert.equal((await play.info()).revealDeadline, deadline, "it moves no deadline");
  await play.revealAll();
  await play.upload(0);
  assert.equal((await play.nodeInfo(2)).earnedWei, shareWei);
});

test("fewer than two commitments by the deadline cancel the task", async () => {
  for (const committed of [[], [1]]) {
    const net = await createNetwork();
    const before = await net.balance(net.creator);
    const play = await net.play();
    for (const round of committed) await play.commit(round, cat);
    await refused(play.cancel(), "NotOverdue");
    net.evm.advance(301);
    await refused(play.commit(0, cat), "DeadlinePassed");
    const end = await play.cancel();
    assert.equal(net.event(end, "TaskAborted").reason, "Task Cancelled");
    assert.equal(await net.balance(net.creator), before);
    assert.equal(await play.status(1), nodeStatus.available);
    assert.equal((await play.nodeInfo(1)).misses, BigInt(1 - committed.length));
    assert.equal((await play.nodeInfo(0)).misses, 1n);
    if (committed.length > 0) await refused(play.reveal(1), "IllegalTaskStatus");
    await refused(play.cancel(), "NotOverdue");
  }
});

test("two commitments and no reveals cancel the task and everyone has missed", async () => {
  const net = await createNetwork();
  const before = await net.balance(net.creator);
  const play = await net.play();
  await play.commit(0, cat);
  await play.commit(1, cat);
  net.evm.advance(71);
  await refused(play.reveal(0), "DeadlinePassed");
  await refused(play.commit(2, cat), "DeadlinePassed");
  const end = await play.cancel();
  assert.equal(net.event(end, "TaskAborted").reason, "Task Cancelled");
  assert.equal(await net.balance(net.creator), before);
  assert.equal((await play.nodeInfo(0)).stakeWei, stakeWei - parseEther("1"));
  assert.equal((await play.nodeInfo(2)).stakeWei, stakeWei);
  for (const round of [0, 1, 2]) assert.equal((await play.nodeInfo(round)).misses, 1n);
});

test("a single reveal cancels the task without blaming the one who spoke", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.reveal(1);
  net.evm.advance(61);
  const end = await play.cancel();
  assert.equal(net.event(end, "TaskAborted").reason, "Task Cancelled");
  assert.equal((await play.nodeInfo(1)).misses, 0n);
  assert.equal((await play.nodeInfo(1)).earnedWei, 0n);
  assert.equal((await play.nodeInfo(0)).misses, 1n);
});

test("a third that never reveals is settled by anyone after the deadline, before or after the upload", async () => {
  for (const uploadFirst of [true, false]) {
    const net = await createNetwork();
    const play = await net.play();
    await play.commitAll([cat, cat, cat]);
    await play.reveal(0);
    await play.reveal(1);
    if (uploadFirst) await play.upload(0);
    await refused(play.cancel(), "NotOverdue");
    net.evm.advance(61);
    await refused(play.reveal(2), "DeadlinePassed");
    const before = await net.balance(net.creator);
    const settled = await play.cancel();
    assert.equal(net.event(settled, "TaskNodeMissed").phase, verdict.committed);
    if (!uploadFirst) {
      assert.equal(await net.balance(net.creator), before);
      await play.upload(0);
    }
    assert.equal(await net.balance(net.creator), before + shareWei);
    assert.equal((await play.info()).status, taskStatus.done);
    assert.equal(await play.status(2), nodeStatus.available);
    await refused(play.cancel(), "NotOverdue");
  }
});

test("a third may reveal after the upload and is paid, or slashed, like the others", async () => {
  for (const [statement, status, earnedWei] of [
    [cat, nodeStatus.available, shareWei],
    [dog, nodeStatus.quit, 0n],
  ] as const) {
    const net = await createNetwork();
    const before = await net.balance(net.creator);
    const play = await net.play();
    await play.commitAll([cat, cat, statement]);
    await play.reveal(0);
    await play.reveal(1);
    await play.upload(0);
    await play.reveal(2);
    assert.equal(await play.status(2), status);
    assert.equal((await play.nodeInfo(2)).earnedWei, earnedWei);
    assert.equal(await net.balance(net.creator), before - feeWei + (earnedWei === 0n ? shareWei : 0n));
  }
});

test("after the upload deadline another agreeing node uploads and takes the share", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, dog]);
  await play.revealAll();
  assert.deepEqual(await refused(play.upload(1), "UploadNotOverdue"), [play.taskId, net.evm.timeSec + 120n]);
  net.evm.advance(121);
  await refused(play.upload(2), "NotResultNode");
  const taken = await play.upload(1);
  assert.equal(net.event(taken, "TaskNodeMissed").phase, verdict.result);
  const info = await play.info();
  assert.equal(info.status, taskStatus.done);
  assert.equal(info.resultRound, 1n, "whose files they are");
  assert.equal(info.verdicts[0], verdict.missed);
  assert.equal((await play.nodeInfo(1)).earnedWei, 2n * shareWei);
  assert.equal((await play.nodeInfo(0)).earnedWei, 0n);
  assert.equal((await play.nodeInfo(0)).stakeWei, stakeWei - parseEther("1"));
  assert.equal(await play.status(0), nodeStatus.available);
});

test("a task nobody uploads is ended by anyone after twice the time", async () => {
  const net = await createNetwork();
  const before = await net.balance(net.creator);
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  net.evm.advance(240);
  await refused(play.cancel(), "NotOverdue");
  net.evm.advance(1);
  await refused(play.upload(0), "DeadlinePassed");
  const end = await play.cancel();
  assert.equal(net.event(end, "TaskAborted").reason, "Task result not uploaded");
  assert.equal((await play.info()).status, taskStatus.aborted);
  assert.equal(await net.balance(net.creator), before - 2n * shareWei);
  assert.equal(await play.status(0), nodeStatus.available);
});

test("the result node may still upload after its deadline while nobody else has", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  net.evm.advance(200);
  await play.upload(0);
  assert.equal((await play.nodeInfo(0)).earnedWei, shareWei);
});

test("a task that is never drawn ends in the queue timeout with the whole fee back", async () => {
  const net = await createNetwork({ nodes: 2 });
  const before = await net.balance(net.creator);
  const taskId = await net.create();
  assert.deepEqual(await refused(net.draw(taskId), "NotEnoughNodes"), [8n, false]);
  await refused(net.send(net.owner, net.task, "cancelTask", [taskId]), "NotOverdue");
  net.evm.advance(601);
  await refused(net.draw(taskId), "DeadlinePassed");
  const end = await net.send(net.owner, net.task, "cancelTask", [taskId]);
  assert.equal(net.event(end, "TaskAborted").reason, "Task queue timeout");
  assert.equal((await net.getTask(taskId)).status, taskStatus.aborted);
  assert.equal(await net.balance(net.creator), before);
  await refused(net.send(net.owner, net.task, "cancelTask", [taskId]), "NotOverdue");
  await refused(net.draw(taskId), "IllegalTaskStatus");
});

test("a task waits for its third node", async () => {
  const net = await createNetwork({ nodes: 2 });
  const taskId = await net.create();
  await refused(net.draw(taskId), "NotEnoughNodes");
  await net.join(net.owner);
  await net.draw(taskId);
});

test("a draw whose block has gone out of reach anchors again", async () => {
  const net = await createNetwork();
  const taskId = await net.create();
  net.evm.mine(257);
  const receipt = await net.send(net.owner, net.task, "drawNodes", [taskId]);
  assert.equal(net.event(receipt, "TaskReanchored").blockNumber, net.evm.blockNumber);
  assert.equal((await net.getTask(taskId)).createdBlock, net.evm.blockNumber);
  assert.equal((await net.draw(taskId)).nodes.length, 3);
});

test("GPT results are compared byte by byte", async () => {
  const text = { result: keccak256("0x01") };
  const net = await createNetwork();
  const play = await net.play(taskType.gpt);
  const nearText = { result: `${text.result.slice(0, -1)}${text.result.endsWith("0") ? "1" : "0"}` as const };
  await play.commitAll([text, nearText as typeof text, text]);
  await play.revealAll();
  assert.equal(await play.status(1), nodeStatus.quit);
  assert.equal((await play.info()).results[0], text.result);
  await play.upload(0);
});

test("results of the wrong length are refused at the reveal", async () => {
  const net = await createNetwork({ nodes: 6 });
  const sd = await net.play();
  await sd.commitAll([{ result: "0x" }, { result: "0x01" }, { result: toHex(new Uint8Array(520)) }]);
  for (const round of [0, 1, 2]) await refused(sd.reveal(round), "InvalidResultLength");
  const gpt = await net.play(taskType.gpt);
  await gpt.commitAll([cat, { result: toHex(new Uint8Array(33)) }, cat]);
  for (const round of [0, 1, 2]) await refused(gpt.reveal(round), "InvalidResultLength");
});

test("calls for tasks, rounds, classes and types that do not exist are refused", async () => {
  const net = await createNetwork();
  const zero = `0x${"00".repeat(32)}` as const;
  const { task, owner, creator } = net;
  await refused(net.send(creator, task, "createTask", [2n, zero, zero, 0n]), "UnknownTaskType");
  await refused(net.send(creator, task, "createTask", [0n, zero, zero, 193n]), "VramLimitTooHigh");
  await refused(net.send(owner, task, "drawNodes", [9n]), "UnknownTask");
  await refused(net.send(owner, task, "cancelTask", [9n]), "UnknownTask");
  await refused(net.send(owner, task, "submitTaskResultCommitment", [9n, 0n, zero]), "UnknownTask");
  await refused(net.send(owner, task, "discloseTaskResult", [9n, 0n, "0x", zero, zero]), "UnknownTask");
  await refused(net.send(owner, task, "reportTaskError", [9n, 0n, 1, zero]), "UnknownTask");
  await refused(net.send(owner, task, "reportResultsUploaded", [9n, 0n]), "UnknownTask");
  assert.equal((await net.getTask(9n)).status, taskStatus.none);
  const play = await net.play();
  await refused(
    net.send(play.nodes[0]!, task, "submitTaskResultCommitment", [play.taskId, 3n, zero]),
    "UnknownRound",
  );
  await refused(net.send(owner, task, "reportTaskError", [play.taskId, 0n, 4, zero]), "UnknownErrorClass");
  await refused(net.send(owner, task, "reportTaskError", [play.taskId, 0n, 0, zero]), "UnknownErrorClass");
  await refused(net.send(owner, task, "reportResultsUploaded", [play.taskId, 0n]), "IllegalTaskStatus");
  await refused(
    net.send(owner, task, "discloseTaskResult", [play.taskId, 3n, "0x", zero, zero]),
    "UnknownRound",
  );
});

test("a task without allowance or money for its fee is refused", async () => {
  const net = await createNetwork();
  const zero = `0x${"00".repeat(32)}` as const;
  await refused(
    net.send(net.pool, net.task, "createTask", [0n, zero, zero, 0n]),
    "ERC20InsufficientAllowance",
  );
  await net.evm.send(net.pool, net.token, "approve", [net.task.address, feeWei]);
  await refused(net.send(net.pool, net.task, "createTask", [0n, zero, zero, 0n]), "ERC20InsufficientBalance");
});
