import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePacked, keccak256, parseEther, zeroAddress } from "viem";
import {
  account,
  createNetwork,
  gpu,
  type Network,
  nodeStatus,
  type Play,
  refused,
  shareWei,
  stakeWei,
} from "./support/network.ts";

const cat = { result: "0x8f3a5c7e91b2d4f6" } as const;
const a = account("a");

/** Runs a task in which one node never commits; returns the transaction in which it is charged. */
async function missCommitment(net: Network, silent: `0x${string}`) {
  const play = await net.play();
  const speakers = [0, 1, 2].filter((round) => play.nodes[round] !== silent);
  for (const round of speakers) await play.commit(round, cat);
  net.evm.advance(10);
  const charged = await play.reveal(speakers[0]!);
  await play.reveal(speakers[1]!);
  await play.upload(speakers[0]!);
  return charged;
}

async function missReveal(play: Play, net: Network, silent: number): Promise<void> {
  await play.commitAll([cat, cat, cat]);
  const speakers = [0, 1, 2].filter((round) => round !== silent);
  for (const round of speakers) await play.reveal(round);
  net.evm.advance(61);
  await play.cancel();
  await play.upload(speakers[0]!);
}

test("a node joins with a stake, is listed, and gets it back when it quits", async () => {
  const net = await createNetwork({ nodes: 1 });
  await net.fund(a);
  const before = await net.balance(a);
  const joined = await net.join(a);
  assert.deepEqual(net.event(joined, "NodeJoined"), {
    node: a,
    gpuName: gpu.name,
    gpuVram: gpu.vram,
    stakeWei,
  });
  const info = await net.info(a);
  assert.equal(info.status, nodeStatus.available);
  assert.equal(info.gpuID, keccak256(encodePacked(["string", "uint256"], [gpu.name, gpu.vram])));
  assert.deepEqual(info.gpu, gpu);
  assert.equal(info.stakeWei, stakeWei);
  assert.equal(info.weight, 8n);
  assert.equal(info.payout, a);
  assert.equal(await net.evm.call(net.node, "totalNodes", []), 2n);
  const quit = await net.send(net.nodes[0]!, net.node, "quit", []);
  assert.equal(net.event(quit, "NodeQuit").stakeReturnedWei, stakeWei);
  assert.deepEqual([...(await net.evm.call(net.node, "getNodes", [0n, 10n]))], [a]);
  await net.send(a, net.node, "quit", []);
  assert.ok((await net.balance(a)) >= before);
  assert.equal((await net.info(a)).status, nodeStatus.quit);
});

test("every transition that a node's status does not allow is refused", async () => {
  const net = await createNetwork();
  const zero = `0x${"00".repeat(32)}` as const;
  const play = await net.play();
  const [busy, pausing, quitting] = play.nodes as [`0x${string}`, `0x${string}`, `0x${string}`];
  await net.send(pausing, net.node, "pause", []);
  await net.send(quitting, net.node, "quit", []);
  const paused = account("paused");
  await net.join(paused);
  await net.send(paused, net.node, "pause", []);
  const available = account("available");
  await net.join(available);
  const stranger = account("stranger");

  const allowed: Record<string, readonly string[]> = {
    join: ["stranger"],
    quit: ["available", "paused", "busy", "pausing"],
    pause: ["available", "busy"],
    resume: ["paused", "pausing"],
  };
  for (const [who, address] of Object.entries({ busy, pausing, quitting, paused, available, stranger })) {
    for (const call of ["join", "quit", "pause", "resume"] as const) {
      if (allowed[call]?.includes(who)) continue;
      const attempt = call === "join" ? net.join(address) : net.send(address, net.node, call, []);
      await refused(attempt, "IllegalNodeStatus");
    }
  }
  await refused(net.send(stranger, net.node, "draw", [1n, 0n, false, zero]), "NotTask");
  await refused(net.send(stranger, net.node, "complete", [1n, 1n, 1n, 0n]), "NotTask");
  await refused(net.send(stranger, net.node, "release", [1n, 1n]), "NotTask");
  await refused(net.send(stranger, net.node, "credit", [1n, 1n]), "NotTask");
  await refused(net.send(stranger, net.node, "miss", [1n, 1n, 1n, false]), "NotTask");
  await refused(net.send(stranger, net.node, "slash", [1n, 1n]), "NotTask");
  await refused(net.send(stranger, net.node, "refund", [stranger, 1n]), "NotTask");
});

test("a paused node is not drawn until it resumes", async () => {
  const net = await createNetwork();
  const taskId = await net.create();
  const paused = await net.send(net.nodes[0]!, net.node, "pause", []);
  assert.deepEqual(net.eventNames(paused), ["NodePaused"]);
  await refused(net.draw(taskId), "NotEnoughNodes");
  const resumed = await net.send(net.nodes[0]!, net.node, "resume", []);
  assert.deepEqual(net.eventNames(resumed), ["NodeResumed"]);
  await net.draw(taskId);
});

test("a busy node pauses, quits or changes its mind when its task is over", async () => {
  const net = await createNetwork();
  const play = await net.play();
  const [pausing, quitting, staying] = play.nodes as [`0x${string}`, `0x${string}`, `0x${string}`];
  const pending = await net.send(pausing, net.node, "pause", []);
  assert.equal(net.event(pending, "NodePending").status, nodeStatus.pendingPause);
  await net.send(quitting, net.node, "pause", []);
  const leaving = await net.send(quitting, net.node, "quit", []);
  assert.equal(net.event(leaving, "NodePending").status, nodeStatus.pendingQuit);
  await net.send(staying, net.node, "pause", []);
  await net.send(staying, net.node, "resume", []);
  assert.equal((await net.info(staying)).status, nodeStatus.busy);

  await play.commitAll([cat, cat, cat]);
  await play.reveal(0);
  const before = await net.balance(quitting);
  const left = await play.reveal(1);
  assert.equal(net.event(left, "NodeQuit").stakeReturnedWei, stakeWei);
  assert.equal(await net.balance(quitting), before + stakeWei);
  await play.reveal(2);
  const paused = await play.upload(0);
  assert.ok(net.eventNames(paused).includes("NodePaused"));
  assert.equal((await net.info(pausing)).status, nodeStatus.paused);
  assert.equal((await net.info(quitting)).status, nodeStatus.quit);
  assert.equal((await net.info(staying)).status, nodeStatus.available);
  await net.send(quitting, net.node, "withdraw", []);
  assert.equal(await net.balance(quitting), before + stakeWei + shareWei, "who has left can still withdraw");
});

test("earnings are pulled, to the payout address", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  await play.upload(0);
  const [first, second] = play.nodes as [`0x${string}`, `0x${string}`, `0x${string}`];
  const cold = account("cold wallet");
  const set = await net.send(first, net.node, "setPayoutAddress", [cold]);
  assert.equal(net.event(set, "PayoutAddressSet").payout, cold);
  const withdrawn = await net.send(first, net.node, "withdraw", []);
  assert.equal(net.event(withdrawn, "NodeWithdrawn").amountWei, shareWei);
  assert.equal(await net.balance(cold), shareWei);
  assert.deepEqual(
    net.eventNames(await net.send(first, net.node, "withdraw", [])),
    [],
    "there is nothing more",
  );
  await net.send(second, net.node, "setPayoutAddress", [cold]);
  await net.send(second, net.node, "setPayoutAddress", [zeroAddress]);
  const before = await net.balance(second);
  await net.send(second, net.node, "withdraw", []);
  assert.equal(await net.balance(second), before + shareWei);
});

test("earnings of a node that comes back, also with another GPU, are kept", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  await play.upload(0);
  const node = play.nodes[0]!;
  await net.send(node, net.node, "quit", []);
  await net.join(node);
  assert.equal((await net.info(node)).earnedWei, shareWei);
  await net.send(node, net.node, "quit", []);
  await net.join(node, "another", 8n);
  assert.deepEqual((await net.info(node)).gpu, { name: "another", vram: 8n });
  assert.equal((await net.info(node)).earnedWei, shareWei);
  assert.equal((await play.info()).nodes[0], play.nodes[0], "an old task still says who ran it");
});

test("a share that is taken over reaches a node that has come back with another GPU", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  const helper = play.nodes[1]!;
  await net.send(helper, net.node, "quit", []);
  await net.join(helper, "another", 8n);
  net.evm.advance(121);
  await play.upload(1);
  assert.equal((await net.info(helper)).earnedWei, 2n * shareWei);
});

test("names and VRAM sizes outside the bounds are refused", async () => {
  const net = await createNetwork({ nodes: 0 });
  await refused(net.join(a, "", 8n), "GpuNameLength");
  await refused(net.join(a, "x".repeat(129), 8n), "GpuNameLength");
  for (const vram of [0n, 5n, 23n, 193n, 2n ** 200n])
    await refused(net.join(a, "x", vram), "UnknownVramClass");
  for (const vram of await net.evm.call(net.node, "vramClasses", [])) {
    await net.join(a, "x", vram);
    assert.equal((await net.info(a)).gpu.vram, vram);
    await net.send(a, net.node, "quit", []);
  }
});

test("each miss halves the weight and each completed task adds to it and clears the count", async () => {
  const net = await createNetwork();
  const silent = net.nodes[0]!;
  const weights: bigint[] = [];
  for (let i = 0; i < 5; i += 1) {
    await missCommitment(net, silent);
    weights.push((await net.info(silent)).weight);
  }
  assert.deepEqual(weights, [4n, 2n, 1n, 1n, 1n]);
  assert.equal((await net.info(silent)).misses, 5n);
  const play = await net.play();
  await play.commitAll([cat, cat, cat]);
  await play.revealAll();
  await play.upload(0);
  assert.equal((await net.info(silent)).misses, 0n);
  assert.equal((await net.info(silent)).weight, 2n);
});

test("the weight has a ceiling", async () => {
  const net = await createNetwork();
  for (let i = 0; i < 9; i += 1) {
    const play = await net.play();
    await play.commitAll([cat, cat, cat]);
    await play.revealAll();
    await play.upload(0);
  }
  assert.equal((await net.info(net.nodes[0]!)).weight, 15n);
});

test("the k-th miss in a row costs 2^(k-1) penalties, the first missed commitment nothing, until the node is removed", async () => {
  const net = await createNetwork();
  const silent = net.nodes[0]!;
  let expectedWei = stakeWei;
  const poolWei = await net.balance(net.pool);
  for (let k = 1n; k <= 7n; k += 1n) {
    const charged = await missCommitment(net, silent);
    const amountWei = k === 1n ? 0n : parseEther("1") << (k - 1n);
    const penalty = net.event(charged, "NodePenalised");
    assert.deepEqual([penalty.amountWei, penalty.misses], [amountWei, k]);
    expectedWei -= amountWei;
    assert.equal((await net.info(silent)).stakeWei, expectedWei);
  }
  assert.equal(expectedWei, parseEther("274"));
  const before = await net.balance(silent);
  const removed = await missCommitment(net, silent);
  assert.equal(net.event(removed, "NodeRemoved").stakeReturnedWei, parseEther("146"));
  assert.equal(await net.balance(silent), before + parseEther("146"));
  assert.equal((await net.info(silent)).status, nodeStatus.quit);
  assert.equal(await net.balance(net.pool), poolWei + parseEther("254"));
});

test("a first missed reveal is not free", async () => {
  const net = await createNetwork();
  const play = await net.play();
  await missReveal(play, net, 2);
  assert.equal((await play.nodeInfo(2)).stakeWei, stakeWei - parseEther("1"));
});

test("leaving and coming back washes nothing off", async () => {
  const net = await createNetwork();
  const silent = net.nodes[0]!;
  await missCommitment(net, silent);
  await missCommitment(net, silent);
  await net.send(silent, net.node, "quit", []);
  await net.join(silent);
  assert.equal((await net.info(silent)).weight, 2n);
  assert.equal((await net.info(silent)).misses, 2n);
  await net.send(silent, net.node, "quit", []);
  await net.join(silent, "another", 48n);
  assert.equal((await net.info(silent)).weight, 2n);
  assert.equal((await net.info(silent)).misses, 2n);
});

test("the stake is for nodes that join from then on, and within bounds", async () => {
  const net = await createNetwork();
  await refused(net.send(a, net.node, "setStakeAmount", [stakeWei]), "OwnableUnauthorizedAccount");
  await refused(net.send(net.owner, net.node, "setStakeAmount", [0n]), "StakeOutOfBounds");
  await refused(net.send(net.owner, net.node, "setStakeAmount", [parseEther("1000001")]), "StakeOutOfBounds");
  const set = await net.send(net.owner, net.node, "setStakeAmount", [2n * stakeWei]);
  assert.equal(net.event(set, "StakeAmountSet").stakeWei, 2n * stakeWei);
  await net.join(a);
  assert.equal((await net.info(a)).stakeWei, 2n * stakeWei);
  const silent = net.nodes[0]!;
  await net.send(a, net.node, "quit", []);
  await missCommitment(net, silent);
  await missCommitment(net, silent);
  assert.equal((await net.info(silent)).status, nodeStatus.available, "measured by the stake it joined with");
});

test("pages of nodes are cut at the end", async () => {
  const net = await createNetwork({ nodes: 5 });
  assert.equal((await net.evm.call(net.node, "getNodes", [0n, 3n])).length, 3);
  assert.equal((await net.evm.call(net.node, "getNodes", [3n, 3n])).length, 2);
  assert.equal((await net.evm.call(net.node, "getNodes", [5n, 3n])).length, 0);
  assert.equal((await net.evm.call(net.node, "getNodes", [1n, 2n ** 255n])).length, 4);
});
