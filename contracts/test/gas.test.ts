/**
 * Gas against contracts/gas.json. To accept new numbers: UPDATE_GAS=1 node --test contracts/test/gas.test.ts
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { keccak256, toHex } from "viem";
import { createNetwork, gpu, type Network, nodeStatus, taskType } from "./support/network.ts";

const file = join(import.meta.dirname, "../gas.json");
const update = process.env.UPDATE_GAS !== undefined;
const committed = JSON.parse(readFileSync(file, "utf8")) as Record<string, Record<string, number>>;
const measured: Record<string, Record<string, number>> = {};

function record(title: string, gas: Record<string, number>): void {
  measured[title] = gas;
  if (!update)
    assert.deepEqual(gas, committed[title], `${title}: gas has changed; see the head of this file`);
}

after(() => {
  if (update) writeFileSync(file, `${JSON.stringify(measured, null, 2)}\n`);
});

const result = { result: "0x8f3a5c7e91b2d4f6" } as const;

/** One SD task with one image from its creation to its end, every transaction counted whole. */
async function honestCycle(net: Network): Promise<Record<string, number>> {
  const gas: Record<string, number> = {};
  const taskId = (await net.evm.call(net.task, "totalTasks", [])) + 1n;
  const hashes = [keccak256(toHex(taskId)), keccak256(toHex(1000n + taskId))] as const;
  const created = await net.send(net.creator, net.task, "createTask", [taskType.sd, ...hashes, 8n]);
  gas.createTask = Number(created.gasUsed);
  const play = await net.draw(taskId);
  gas.drawNodes = Number(play.receipt.gasUsed);
  net.evm.advance(8);
  for (const round of [0, 1, 2]) {
    gas[`submitTaskResultCommitment ${round + 1}`] = Number((await play.commit(round, result)).gasUsed);
    net.evm.advance(1);
  }
  for (const round of [0, 1, 2]) {
    gas[`discloseTaskResult ${round + 1}`] = Number((await play.reveal(round)).gasUsed);
    net.evm.advance(1);
  }
  gas.reportResultsUploaded = Number((await play.upload(0)).gasUsed);
  gas.total = Object.values(gas).reduce((a, b) => a + b, 0);
  return gas;
}

for (const nodes of [3, 100, 1000]) {
  test(`the gas of joining, creating and drawing with ${nodes} nodes is as recorded`, async () => {
    const net = await createNetwork({ nodes, checkBooks: false });
    const candidate = `0x${"c0".repeat(20)}` as const;
    await net.fund(candidate);
    const join = await net.evm.send(candidate, net.node, "join", [gpu.name, gpu.vram]);
    await honestCycle(net);
    await honestCycle(net);
    const cycle = await honestCycle(net);
    record(`${nodes} nodes`, { join: Number(join.gasUsed), ...cycle });
    assert.ok(cycle.total! <= 650_000, `an honest task costs ${cycle.total} gas`);
  });
}

test("creating and drawing costs nearly the same in a small network and in a large one", () => {
  const cost = (nodes: string) => {
    const gas = measured[nodes]!;
    return gas.createTask! + gas.drawNodes!;
  };
  assert.ok(cost("1000 nodes") <= cost("3 nodes") * 1.05);
});

test("the gas of the other calls is as recorded", async () => {
  const net = await createNetwork({ nodes: 4, checkBooks: false });
  const node = net.nodes[0]!;
  const gas: Record<string, number> = {};
  const send = async (name: "pause" | "resume" | "quit" | "withdraw") => {
    gas[name] = Number((await net.evm.send(node, net.node, name, [])).gasUsed);
  };
  await send("pause");
  await send("resume");
  await send("quit");
  gas["join again"] = Number((await net.join(node)).gasUsed);

  await net.send(net.nodes[3]!, net.node, "quit", []);
  const play = await net.play();
  await play.commitAll([result, result, { errorClass: 1 }]);
  await play.reveal(0);
  await play.reveal(1);
  gas["reportTaskError, slashed"] = Number((await play.reveal(2)).gasUsed);
  gas["reportResultsUploaded with refund"] = Number((await play.upload(0)).gasUsed);
  await net.join(play.nodes[2]!);
  const silent = await net.play();
  await silent.commit(0, result);
  await silent.commit(1, result);
  net.evm.advance(100);
  gas["cancelTask, nobody reveals"] = Number((await silent.cancel()).gasUsed);
  assert.equal((await net.info(play.nodes[0]!)).status, nodeStatus.available);
  await net.evm.send(play.nodes[0]!, net.node, "withdraw", []).then((receipt) => {
    gas.withdraw = Number(receipt.gasUsed);
  });
  const nine = await net.play();
  const images = { result: toHex(new Uint8Array(72).map((_, i) => i)) };
  await nine.commitAll([images, images, images]);
  await nine.reveal(0);
  gas["discloseTaskResult 2, nine images"] = Number((await nine.reveal(1)).gasUsed);
  record("other calls", gas);
});
