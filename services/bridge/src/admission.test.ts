import assert from "node:assert/strict";
import { test } from "node:test";
import type { Chain } from "@hydrogen/chain";
import { taskHash } from "@hydrogen/protocol";
import { createAdmission } from "./admission.ts";
import { createVramView } from "./network-vram.ts";
import { someArgs } from "./testing/test-bridge.ts";

const model = {
  id: "hydrogen-network/emoji-64",
  title: "Emoji",
  licence: "Apache-2.0",
  defaults: { widthPx: 64, heightPx: 64, steps: 4, cfg: 4, scheduler: "x" },
};

/** Nodes with this much memory each; counts how often their list is read. */
function networkOf(sizesGb: number[]) {
  let reads = 0;
  let nowMs = 0;
  const node = {
    getNodes: async (offset: bigint, limit: bigint) => {
      if (offset === 0n) reads++;
      return sizesGb.map((_, i) => String(i)).slice(Number(offset), Number(offset + limit));
    },
    getNodeInfo: async (address: string) => ({ gpu: { vram: BigInt(sizesGb[Number(address)]!) } }),
  };
  const clock = { nowMs: () => nowMs, sleep: async () => undefined };
  return {
    holds: createVramView({ node } as unknown as Chain, clock),
    reads: () => reads,
    passTime: (sec: number) => {
      nowMs += sec * 1000;
    },
  };
}

test("admits good args with their hash, memory class, images and the fee of now", async () => {
  const admit = createAdmission({
    models: [model],
    feeWei: async () => 30n,
    holdsVram: networkOf([8, 8, 8]).holds,
  });
  const argsText = someArgs();
  assert.deepEqual(await admit(0, argsText), {
    taskType: 0,
    argsText,
    taskHash: taskHash(argsText),
    vramLimit: 4,
    numImages: 1,
    feeWei: 30n,
  });
});

test("refuses what would be paid for in vain, each with its own code", async () => {
  const admit = createAdmission({
    models: [model],
    feeWei: async () => 30n,
    holdsVram: networkOf([24, 24, 8]).holds,
  });
  const other = JSON.stringify({ ...JSON.parse(someArgs()), base_model: "nobody/nothing" });
  const cases: [number, string, string][] = [
    [1, someArgs(), "TASK_TYPE_UNSUPPORTED"],
    [0, "{", "ARGS_NOT_JSON"],
    [0, "{}", "ARGS_INVALID"],
    [0, other, "MODEL_NOT_OFFERED"],
    [0, someArgs(1, 2048), "VRAM_NOT_OFFERED"],
  ];
  for (const [type, text, code] of cases) await assert.rejects(admit(type, text), { code }, code);
});

test("three nodes must hold a task, however many there are", async () => {
  assert.deepEqual(await networkOf([]).holds(4), { holds: false, offeredGb: 0 });
  assert.deepEqual(await networkOf([24, 24]).holds(4), { holds: false, offeredGb: 0 });
  assert.deepEqual(await networkOf([24, 4, 24]).holds(6), { holds: false, offeredGb: 4 });
  const many = Array.from({ length: 250 }, (_, i) => (i >= 247 ? 24 : 8));
  assert.deepEqual(await networkOf(many).holds(24), { holds: true, offeredGb: 24 });
});

test("asks the chain once a minute, and again before it says no", async () => {
  const sizes = [8, 8, 8];
  const network = networkOf(sizes);
  await Promise.all([network.holds(4), network.holds(8)]);
  await network.holds(8);
  assert.equal(network.reads(), 1);
  sizes.fill(24);
  assert.equal((await network.holds(20)).holds, true);
  assert.equal(network.reads(), 2);
  sizes.fill(4);
  network.passTime(61);
  assert.equal((await network.holds(20)).holds, false);
});
