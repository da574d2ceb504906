/**
 * One test for each weakness of the first epoch's contracts that could exist here (numbers as in the project's list of
 * them; see docs/protocol.md for the rules that close them).
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type Abi, type Address, encodeFunctionData, type Hex, keccak256, parseEther } from "viem";
import { crynuxTokenAbi, nodeAbi, taskAbi } from "../index.ts";
import { type CompiledContract, compile } from "../scripts/compile.ts";
import { type Contract, Reverted } from "./support/evm.ts";
import {
  account,
  commitmentOf,
  createNetwork,
  feeWei,
  gpu,
  nodeStatus,
  refused,
  resultDigest,
  shareWei,
  stakeWei,
  taskStatus,
  taskType,
} from "./support/network.ts";

const cat = { result: "0x8f3a5c7e91b2d4f6" } as const;
const dog = { result: "0x00ff00ff00ff00ff" } as const;
const zero = `0x${"00".repeat(32)}` as const;
const one = `0x${"00".repeat(31)}01` as const;

const actAbi = [
  {
    type: "function",
    name: "act",
    stateMutability: "nonpayable",
    inputs: [
      { name: "target", type: "address" },
      { name: "data", type: "bytes" },
    ],
    outputs: [],
  },
] as const;

let mocks: Map<string, CompiledContract>;
before(() => {
  mocks = compile(["test/mocks/token"]);
});

function artifact(name: string): { abi: Abi; bytecode: Hex } {
  const contract = mocks.get(name)!;
  return { abi: contract.abi as Abi, bytecode: `0x${contract.bytecode}` };
}

test("W6: a result node that uploads again is not paid again and not freed from its next task", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  await play.upload(0);
  const next = await net.play();
  await refused(play.upload(0), "IllegalTaskStatus");
  assert.equal((await play.nodeInfo(0)).taskId, next.taskId);
  assert.equal((await play.nodeInfo(0)).earnedWei, shareWei);
});

test("W7: ending a task late does not free a node that is at work on another", async () => {
  const net = await createNetwork({ nodes: 4 });
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.reveal(0);
  await play.reveal(1);
  // Round 1 is free again and, with the fourth node and one more, drawn into the next task.
  await net.join(account("fifth"));
  const next = await net.play();
  assert.ok(next.nodes.includes(play.nodes[1]!));
  net.evm.advance(241);
  await play.cancel();
  assert.equal((await play.info()).status, taskStatus.aborted);
  assert.equal((await play.nodeInfo(1)).taskId, next.taskId);
  assert.equal((await play.nodeInfo(1)).status, nodeStatus.busy);
});

test("W8: errors against a committed node leave nothing behind in the contract", async () => {
  const net = await createNetwork();
  const creatorWei = await net.balance(net.creator);
  const play = await net.play();
  await play.commitAll([cat, { errorClass: 1 }, { errorClass: 1 }]);
  await play.revealAll();
  assert.equal(await net.balance(net.creator), creatorWei);
  assert.equal(await net.balance(net.node.address), 3n * stakeWei);
});

test("W9: changing the parameters in the middle of a task changes nothing for it", async () => {
  const net = await createNetwork();
  const creatorWei = await net.balance(net.creator);
  const play = await net.play();
  const old = await net.evm.call(net.task, "getParameters", []);
  const set = await net.send(net.owner, net.task, "setParameters", [
    {
      ...old,
      feeWei: parseEther("90"),
      missPenaltyGwei: 0,
      commitSec: 10,
      graceSec: 1,
      revealSec: 10,
      uploadSec: 10,
      errorFeeBps: 0,
      distanceThreshold: 16,
    },
  ]);
  assert.equal(net.event(set, "ParametersSet").version, 2n);
  net.evm.advance(200);
  await play.commitAll([cat, { result: "0x8f3a5c7e91b2d5f9" }, cat]);
  net.evm.advance(50);
  await play.revealAll();
  assert.equal(await play.status(1), nodeStatus.quit, "five bits are still too many");
  net.evm.advance(100);
  await play.upload(0);
  assert.equal((await play.nodeInfo(0)).earnedWei, shareWei);
  assert.equal(await net.balance(net.creator), creatorWei - 2n * shareWei);

  await net.join(net.owner);
  const next = await net.play();
  assert.equal((await next.info()).feeWei, parseEther("90"));
  assert.equal((await next.info()).commitDeadline, net.evm.timeSec + 10n);
});

test("W9: parameters outside their bounds are refused, by name", async () => {
  const net = await createNetwork({ nodes: 0 });
  const good = await net.evm.call(net.task, "getParameters", []);
  await refused(net.send(net.creator, net.task, "setParameters", [good]), "OwnableUnauthorizedAccount");
  for (const [name, ...values] of [
    ["feeWei", 0n, parseEther("1000001"), parseEther("1") + 1n],
    ["missPenaltyGwei", 1_000_000_000_001],
    ["queueSec", 59, 604_801],
    ["commitSec", 9, 21_601],
    ["graceSec", 3601],
    ["revealSec", 9, 10_801],
    ["uploadSec", 9, 21_601],
    ["errorFeeBps", 5001],
    ["distanceThreshold", 0, 17],
  ] as const) {
    for (const value of values) {
      const [bound] = await refused(
        net.send(net.owner, net.task, "setParameters", [{ ...good, [name]: value }]),
        "ParameterOutOfBounds",
      );
      assert.equal(
        Buffer.from((bound as Hex).slice(2), "hex")
          .toString()
          .replaceAll("\0", ""),
        name,
      );
    }
  }
});

test("W9: a fee that three does not divide is paid out to the last wei", async () => {
  const net = await createNetwork();
  const good = await net.evm.call(net.task, "getParameters", []);
  const oddWei = parseEther("10") + 2_000_000_000n;
  await net.send(net.owner, net.task, "setParameters", [{ ...good, feeWei: oddWei }]);
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  await play.upload(0);
  const earned = [];
  for (const round of [0, 1, 2]) earned.push((await play.nodeInfo(round)).earnedWei);
  assert.equal(earned[0]! + earned[1]! + earned[2]!, oddWei);
  assert.ok(earned[0]! >= earned[1]! && earned[1] === earned[2]);
});

test("W12, W16: whatever a creator does, its refund does not hold up the nodes", async () => {
  const net = await createNetwork({ token: artifact("HookToken") });
  const puppet = { ...(await net.evm.deploy(net.owner, artifact("Puppet"))), abi: actAbi };
  const act = (contract: Contract, data: Hex) => net.send(net.owner, puppet, "act", [contract.address, data]);
  await net.evm.send(net.owner, net.token, "transfer", [puppet.address, feeWei]);
  await act(
    net.token,
    encodeFunctionData({ abi: crynuxTokenAbi, functionName: "approve", args: [net.task.address, feeWei] }),
  );
  await act(
    net.task,
    encodeFunctionData({ abi: taskAbi, functionName: "createTask", args: [taskType.sd, one, one, 8n] }),
  );
  const play = await net.draw(1n);
  net.evm.advance(301);
  // The creator is a contract without a function to receive anything: CNX cannot be refused.
  await play.cancel();
  assert.equal(await net.balance(puppet.address), feeWei);
  for (const round of [0, 1, 2]) assert.equal(await play.status(round), nodeStatus.available);
});

test("W13: a call back into the contracts in the middle of any transfer gains nothing", async () => {
  const net = await createNetwork({ token: artifact("HookToken"), nodes: 0 });
  const hook = { address: net.token.address, abi: artifact("HookToken").abi };
  const puppet = { ...(await net.evm.deploy(net.owner, artifact("Puppet"))), abi: actAbi };
  const call = (contract: Contract, data: Hex): Hex =>
    encodeFunctionData({ abi: actAbi, functionName: "act", args: [contract.address, data] });
  const act = (contract: Contract, data: Hex) => net.send(net.owner, puppet, "act", [contract.address, data]);
  const nodeCall = (functionName: "quit" | "withdraw"): Hex =>
    encodeFunctionData({ abi: nodeAbi, functionName, args: [] });
  const taskCall = (
    functionName: "reportResultsUploaded" | "cancelTask",
    taskId: bigint,
    round: bigint,
  ): Hex =>
    functionName === "cancelTask"
      ? encodeFunctionData({ abi: taskAbi, functionName, args: [taskId] })
      : encodeFunctionData({ abi: taskAbi, functionName, args: [taskId, round] });
  /** In the middle of the next transfer, the puppet makes this call. Returns how to see that it failed. */
  const arm = async (contract: Contract, data: Hex) => {
    await net.evm.send(net.owner, hook, "arm", [puppet.address, call(contract, data)]);
    return async () => {
      assert.equal(await net.evm.call(hook, "tried", []), true, "no transfer happened");
      assert.equal(await net.evm.call(hook, "succeeded", []), false, "the second call went through");
    };
  };

  net.known.add(puppet.address);
  await net.evm.send(net.owner, net.token, "transfer", [puppet.address, 10n * stakeWei]);
  await act(
    net.token,
    encodeFunctionData({
      abi: crynuxTokenAbi,
      functionName: "approve",
      args: [net.node.address, 10n * stakeWei],
    }),
  );
  const joinData = encodeFunctionData({ abi: nodeAbi, functionName: "join", args: [gpu.name, gpu.vram] });
  let check = await arm(net.node, joinData);
  await act(net.node, joinData);
  await check();

  check = await arm(net.node, nodeCall("quit"));
  await act(net.node, nodeCall("quit"));
  await check();
  await act(net.node, joinData);

  // A refund, with a second cancel inside it.
  const lonely = await net.create();
  net.evm.advance(601);
  check = await arm(net.task, taskCall("cancelTask", lonely, 0n));
  await net.send(net.owner, net.task, "cancelTask", [lonely]);
  await check();

  // A task in which the puppet, whatever its round, goes first, and another round never commits.
  await net.join(account("x"));
  await net.join(account("y"));
  const play = await net.play();
  const mine = play.nodes.indexOf(puppet.address);
  const [other, silent] = [0, 1, 2].filter((round) => round !== mine) as [number, number];
  const salt = zero;
  const commitment = commitmentOf(play.taskId, mine, puppet.address, cat, salt);
  const round = BigInt(mine);
  await act(
    net.task,
    encodeFunctionData({
      abi: taskAbi,
      functionName: "submitTaskResultCommitment",
      args: [play.taskId, round, commitment],
    }),
  );
  await play.commit(other, cat);
  await net.send(play.nodes[silent]!, net.node, "quit", []);
  net.evm.advance(10);
  const reveal = encodeFunctionData({
    abi: taskAbi,
    functionName: "discloseTaskResult",
    args: [play.taskId, round, cat.result, keccak256(cat.result), salt],
  });
  // The reveal lets the silent node go, which is sent its stake: inside that, the same reveal again.
  check = await arm(net.task, reveal);
  await act(net.task, reveal);
  await check();
  await play.reveal(other);
  // The upload sends the silent node's share back to the creator: inside that, the same upload again.
  check = await arm(net.task, taskCall("reportResultsUploaded", play.taskId, round));
  await act(net.task, taskCall("reportResultsUploaded", play.taskId, round));
  await check();

  // A withdrawal inside a withdrawal finds nothing: it succeeds with 0.
  const before = await net.balance(puppet.address);
  await net.evm.send(net.owner, hook, "arm", [puppet.address, call(net.node, nodeCall("withdraw"))]);
  await act(net.node, nodeCall("withdraw"));
  assert.equal(await net.evm.call(hook, "tried", []), true);
  assert.equal(await net.balance(puppet.address), before + shareWei);
});

test("the salt is not on chain before the reveal, and a result can be committed only with a hidden salt", async () => {
  const net = await createNetwork();
  const commit = taskAbi.find(
    (item) => item.type === "function" && item.name === "submitTaskResultCommitment",
  );
  assert.deepEqual(commit?.type === "function" && commit.inputs.map((input) => input.name), [
    "taskId",
    "round",
    "commitment",
  ]);
  const play = await net.play();
  const receipt = await play.commit(0, cat);
  const onChain = JSON.stringify([receipt.logs, (await play.info()).results]);
  assert.ok(!onChain.includes(cat.result.slice(2)));
  assert.ok(!onChain.includes(resultDigest(cat).slice(2)));
});

test("another's commitment can be copied, but not revealed", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commit(0, cat);
  const copied = (await play.info()).commitments[0]!;
  await net.send(play.nodes[1]!, net.task, "submitTaskResultCommitment", [play.taskId, 1n, copied]);
  await play.commit(2, cat);
  const revealed = await play.reveal(0);
  // The copier now knows the original's result, digest and salt.
  const { filesDigest: files } = net.event(revealed, "TaskResultDisclosed") as { filesDigest: Hex };
  for (const salt of [zero, one]) {
    await refused(
      net.send(play.nodes[1]!, net.task, "discloseTaskResult", [play.taskId, 1n, cat.result, files, salt]),
      "CommitmentMismatch",
    );
  }
  await refused(
    net.send(play.nodes[1]!, net.task, "discloseTaskResult", [play.taskId, 2n, cat.result, files, zero]),
    "CommitmentMismatch",
  );
  await play.reveal(2);
  await play.upload(0);
});

test("a commitment holds for one task, one round and one node", async () => {
  for (const [taskId, round, name] of [
    [2n, 0, 0],
    [1n, 1, 0],
    [1n, 0, 1],
  ] as const) {
    const net = await createNetwork();
    const play = await net.play();
    const node = play.nodes[0]!;
    const commitment = commitmentOf(taskId, round, play.nodes[name]!, cat, zero);
    await net.send(node, net.task, "submitTaskResultCommitment", [play.taskId, 0n, commitment]);
    await play.commit(1, cat);
    await play.commit(2, cat);
    const reveal = (from: Address) =>
      net.send(from, net.task, "discloseTaskResult", [
        play.taskId,
        0n,
        cat.result,
        keccak256(cat.result),
        zero,
      ]);
    await refused(reveal(node), "CommitmentMismatch");
    // Even whom the commitment names cannot speak for the round.
    await refused(reveal(play.nodes[1]!), name === 1 ? "NotSelectedNode" : "CommitmentMismatch");
  }
});

test("a round commits once, by its own node, and reveals once", async () => {
  const net = await createNetwork({ nodes: 4 });
  const play = await net.play();
  await refused(
    net.send(play.nodes[1]!, net.task, "submitTaskResultCommitment", [play.taskId, 0n, one]),
    "NotSelectedNode",
  );
  await play.commit(0, cat);
  await refused(
    net.send(play.nodes[0]!, net.task, "submitTaskResultCommitment", [play.taskId, 0n, one]),
    "IllegalVerdict",
  );
  await refused(
    net.send(play.nodes[0]!, net.task, "submitTaskResultCommitment", [play.taskId, 1n, one]),
    "NotSelectedNode",
  );
  await play.commit(1, cat);
  await play.commit(2, cat);
  await play.reveal(0);
  await refused(play.reveal(0), "IllegalVerdict");
  await play.reveal(1);
  await refused(play.reveal(1), "IllegalVerdict");
});

test("no commitment value is reserved: 1 is a promise like any other, and 0 is refused", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await refused(
    net.send(play.nodes[0]!, net.task, "submitTaskResultCommitment", [play.taskId, 0n, zero]),
    "ZeroCommitment",
  );
  await net.send(play.nodes[0]!, net.task, "submitTaskResultCommitment", [play.taskId, 0n, one]);
  assert.equal((await play.info()).commitments[0], one);
  await play.commit(1, cat);
  await play.commit(2, cat);
  await play.reveal(1);
  await play.reveal(2);
  await play.upload(1);
  net.evm.advance(61);
  await play.cancel();
  assert.equal((await play.info()).status, taskStatus.done);
  assert.equal((await play.nodeInfo(0)).misses, 1n);
});

test("an empty result cannot pass for an error report, nor an error report for a result", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commit(0, { errorClass: 1 });
  await play.commit(1, { errorClass: 1 });
  await play.commit(2, { errorClass: 1 });
  // The digest of an error is that of an empty result whose files digest is the class.
  const salt = (await net.evm.call(net.task, "getTask", [play.taskId])).commitments[0]!;
  await refused(
    net.send(play.nodes[0]!, net.task, "discloseTaskResult", [play.taskId, 0n, "0x", one, salt]),
    "CommitmentMismatch",
  );
  const forged = await createNetwork();
  const lie = await forged.play();
  await forged.send(lie.nodes[0]!, forged.task, "submitTaskResultCommitment", [
    lie.taskId,
    0n,
    commitmentOf(lie.taskId, 0, lie.nodes[0]!, { errorClass: 1 }, zero),
  ]);
  await lie.commit(1, cat);
  await lie.commit(2, cat);
  await refused(
    forged.send(lie.nodes[0]!, forged.task, "discloseTaskResult", [lie.taskId, 0n, "0x", one, zero]),
    "InvalidResultLength",
  );
});

test("the draw cannot be known or undone by whoever creates the task", async () => {
  const net = await createNetwork({ nodes: 9 });
  const puppet = { ...(await net.evm.deploy(net.owner, artifact("Puppet"))), abi: actAbi };
  // In the block of the creation nothing can be drawn, so no transaction can create, look, and revert.
  const taskId = await net.create();
  net.evm.mine(-1);
  await refused(net.draw(taskId), "DrawTooEarly");
  assert.ok(puppet.address);
  // The same call made in another block gives another draw: the arguments alone do not choose the nodes.
  const draws = new Set<string>();
  for (let seed = 0n; seed < 4n; seed += 1n) {
    const other = await createNetwork({ nodes: 9, seed });
    draws.add((await other.play()).nodes.join());
  }
  assert.ok(draws.size >= 3);
});

test("silence costs weight and money, and honest nodes are paid all the same", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commit(0, cat);
  await play.commit(1, cat);
  net.evm.advance(10);
  await play.reveal(0);
  await play.reveal(1);
  await play.upload(0);
  assert.equal((await play.nodeInfo(0)).earnedWei, shareWei);
  assert.equal((await play.nodeInfo(1)).earnedWei, shareWei);
  assert.equal((await play.nodeInfo(2)).weight, 4n);
  const again = await net.play();
  const silent = again.nodes.indexOf(play.nodes[2]!);
  const speakers = [0, 1, 2].filter((round) => round !== silent);
  for (const round of speakers) await again.commit(round, cat);
  net.evm.advance(10);
  await again.reveal(speakers[0]!);
  assert.equal((await play.nodeInfo(2)).stakeWei, stakeWei - parseEther("2"));
});

test("a result node that never uploads loses its share to one that does", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  net.evm.advance(121);
  await play.upload(2);
  assert.equal((await play.nodeInfo(2)).earnedWei, 2n * shareWei);
  assert.equal((await play.nodeInfo(0)).earnedWei, 0n);
  assert.equal((await play.nodeInfo(0)).stakeWei, stakeWei - parseEther("1"));
  assert.equal(await play.status(0), nodeStatus.available);
});

test("error reports do not pay like work, and never get an honest node slashed", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([{ errorClass: 1 }, { errorClass: 1 }, dog]);
  await play.revealAll();
  for (const round of [0, 1, 2]) {
    assert.equal((await play.nodeInfo(round)).earnedWei, 0n);
    assert.equal((await play.nodeInfo(round)).stakeWei, stakeWei);
  }
});

test("nobody can make a VRAM class of their own", async () => {
  const net = await createNetwork({ nodes: 0 });
  const classes = await net.evm.call(net.node, "vramClasses", []);
  assert.ok(classes.length <= 32);
  for (const vram of [23n, 25n, 1000n])
    await refused(net.join(account("niche"), "x", vram), "UnknownVramClass");
});

test("there is no way to point a contract at another, and the owner cannot touch money", async () => {
  const net = await createNetwork();
  const writers = (abi: Abi) =>
    abi
      .flatMap((item) =>
        item.type === "function" && item.stateMutability === "nonpayable" ? [item.name] : [],
      )
      .sort();
  const ownership = ["acceptOwnership", "renounceOwnership", "transferOwnership"];
  assert.deepEqual(
    writers(taskAbi),
    [
      ...ownership,
      "cancelTask",
      "createTask",
      "discloseTaskResult",
      "drawNodes",
      "reportResultsUploaded",
      "reportTaskError",
      "setParameters",
      "submitTaskResultCommitment",
    ].sort(),
  );
  const onlyTask = ["complete", "credit", "draw", "miss", "refund", "release", "slash"];
  assert.deepEqual(
    writers(nodeAbi),
    [
      ...ownership,
      ...onlyTask,
      "join",
      "joinWithPermit",
      "pause",
      "quit",
      "resume",
      "setPayoutAddress",
      "setStakeAmount",
      "withdraw",
    ].sort(),
  );
  assert.equal(await net.evm.call(net.node, "task", []), net.task.address);
  assert.equal(await net.evm.call(net.task, "node", []), net.node.address);
});

test("every error is a custom error and every event names its subject in an indexed field", async () => {
  for (const abi of [taskAbi, nodeAbi] as readonly Abi[]) {
    for (const item of abi) {
      // Events of a change for everybody have no subject.
      if (item.type === "event" && item.name !== "StakeAmountSet") {
        assert.ok(
          item.inputs.some((input) => input.indexed),
          `${item.name} has no indexed field`,
        );
      }
    }
  }
  const net = await createNetwork();
  try {
    await net.send(net.owner, net.task, "cancelTask", [77n]);
    assert.fail("nothing was refused");
  } catch (error) {
    assert.ok(error instanceof Reverted);
    assert.deepEqual([error.errorName, error.args], ["UnknownTask", [77n]]);
    assert.ok(!error.data.startsWith("0x08c379a0"), "not a string");
  }
});
