import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { encodeAbiParameters, type Hex, keccak256 } from "viem";
import { compile } from "../scripts/compile.ts";
import { createEvm } from "./support/evm.ts";
import { account, createNetwork, refused, taskType } from "./support/network.ts";

interface PoolNode {
  readonly id: bigint;
  readonly weight: bigint;
  readonly group: Hex;
}

const owner = account("owner");
const harnessAbi = [
  {
    type: "function",
    name: "add",
    stateMutability: "nonpayable",
    outputs: [],
    inputs: [
      { name: "name", type: "string" },
      { name: "class", type: "uint256" },
      { name: "count", type: "uint256" },
      { name: "weight", type: "uint256" },
    ],
  },
  {
    type: "function",
    name: "set",
    stateMutability: "nonpayable",
    outputs: [],
    inputs: [
      { name: "ids", type: "uint256[]" },
      { name: "weight", type: "uint256" },
    ],
  },
  {
    type: "function",
    name: "nodes",
    stateMutability: "view",
    inputs: [
      { name: "offset", type: "uint256" },
      { name: "limit", type: "uint256" },
    ],
    outputs: [
      { name: "ids", type: "uint256[]" },
      { name: "weights", type: "uint256[]" },
      { name: "groups", type: "bytes32[]" },
    ],
  },
  {
    type: "function",
    name: "available",
    stateMutability: "view",
    inputs: [],
    outputs: [{ name: "", type: "uint256" }],
  },
  // It restores what it draws, so the test may call it like a view.
  {
    type: "function",
    name: "draws",
    stateMutability: "view",
    inputs: [
      { name: "minClass", type: "uint256" },
      { name: "sameGroup", type: "bool" },
      { name: "seed", type: "uint256" },
      { name: "count", type: "uint256" },
    ],
    outputs: [{ name: "ids", type: "uint256[]" }],
  },
] as const;

let harnessBytecode: Hex;

async function createPool() {
  const evm = await createEvm();
  const pool = await evm.deploy(owner, { abi: harnessAbi, bytecode: harnessBytecode });
  return {
    async add(name: string, vramClass: number, count: number, weight: number): Promise<void> {
      for (let left = count; left > 0; left -= 100) {
        await evm.send(owner, pool, "add", [
          name,
          BigInt(vramClass),
          BigInt(Math.min(left, 100)),
          BigInt(weight),
        ]);
      }
    },
    async set(ids: readonly bigint[], weight: number): Promise<void> {
      for (let i = 0; i < ids.length; i += 200) {
        await evm.send(owner, pool, "set", [ids.slice(i, i + 200), BigInt(weight)]);
      }
    },
    async nodes(count: number): Promise<PoolNode[]> {
      const [ids, weights, groups] = await evm.call(pool, "nodes", [0n, BigInt(count)]);
      return ids.map((id, i) => ({ id, weight: weights[i]!, group: groups[i]! }));
    },
    available: () => evm.call(pool, "available", []),
    async draws(minClass: number, sameGroup: boolean, seed: bigint, count: number): Promise<bigint[][]> {
      const drawn = await evm.call(pool, "draws", [BigInt(minClass), sameGroup, seed, BigInt(count)]);
      return drawn.map((ids) =>
        ids === 0n ? [] : [0n, 32n, 64n].map((shift) => (ids >> shift) & 0xffff_ffffn),
      );
    },
  };
}

function hashWords(...words: bigint[]): bigint {
  return BigInt(
    keccak256(
      encodeAbiParameters(
        words.map(() => ({ type: "uint256" })),
        words,
      ),
    ),
  );
}

/** The node at `rest` of the running sum of the weights. */
function nodeAt(nodes: readonly PoolNode[], rest: bigint): PoolNode {
  let left = rest;
  for (const node of nodes) {
    if (left < node.weight) return node;
    left -= node.weight;
  }
  throw new RangeError("past the last node");
}

function sum(nodes: readonly PoolNode[]): bigint {
  return nodes.reduce((total, node) => total + node.weight, 0n);
}

/** What a draw must give: the plain definition, over a list. */
function expectedDraw(
  all: readonly PoolNode[],
  minClass: number,
  sameGroup: boolean,
  seed: bigint,
): bigint[] {
  const random = hashWords(seed);
  let nodes = all
    .filter((node) => node.weight > 0n && node.id >> 27n >= BigInt(minClass))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  if (sameGroup) {
    const sizes = Map.groupBy(nodes, (node) => node.group);
    const quorate = nodes.filter((node) => sizes.get(node.group)!.length >= 3);
    if (quorate.length === 0) return [];
    nodes = sizes.get(nodeAt(quorate, random % sum(quorate)).group)!;
  }
  const drawn: bigint[] = [];
  for (const shift of [0n, 32n, 64n]) {
    if (nodes.length === 0) return [];
    const node = nodeAt(nodes, hashWords(random, shift) % sum(nodes));
    drawn.push(node.id);
    nodes = nodes.filter((other) => other !== node);
  }
  return drawn;
}

async function compareDraws(pool: Awaited<ReturnType<typeof createPool>>, count: number): Promise<void> {
  const nodes = await pool.nodes(count);
  assert.equal(await pool.available(), BigInt(nodes.filter((node) => node.weight > 0n).length));
  for (const sameGroup of [false, true]) {
    for (const minClass of [0, 5]) {
      const drawn = await pool.draws(minClass, sameGroup, 1000n, 4);
      for (const [i, ids] of drawn.entries()) {
        assert.deepEqual(ids, expectedDraw(nodes, minClass, sameGroup, 1000n + BigInt(i)));
      }
    }
  }
}

/** The chi-square statistic of counts against expected shares. */
function chiSquare(counts: readonly number[], shares: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.reduce((chi, count, i) => chi + (count - total * shares[i]!) ** 2 / (total * shares[i]!), 0);
}

describe("the pool", () => {
  before(() => {
    harnessBytecode = `0x${compile(["test/mocks/pool"]).get("PoolHarness")!.bytecode}`;
  });

  test("an empty pool, one node and two nodes give no draw", async () => {
    const pool = await createPool();
    assert.deepEqual(await pool.draws(0, false, 1n, 1), [[]]);
    await pool.add("a", 3, 2, 8);
    assert.deepEqual(await pool.draws(0, false, 1n, 1), [[]]);
    assert.deepEqual(await pool.draws(0, true, 1n, 1), [[]]);
    await pool.add("b", 3, 1, 8);
    assert.equal((await pool.draws(3, false, 1n, 1))[0]!.length, 3);
    assert.deepEqual(await pool.draws(4, false, 1n, 1), [[]], "all are too small");
    assert.deepEqual(await pool.draws(3, true, 1n, 1), [[]], "no group has three");
  });

  test("draws follow the definition over groups, classes and weights", async () => {
    const pool = await createPool();
    await pool.add("a", 2, 7, 8);
    await compareDraws(pool, 7);
    await pool.add("b", 2, 3, 15);
    await pool.add("c", 5, 2, 4);
    await pool.add("d", 17, 3, 1);
    await compareDraws(pool, 15);
    const ids = (await pool.nodes(15)).map((node) => node.id);
    await pool.set([ids[0]!, ids[8]!, ids[14]!], 0);
    await compareDraws(pool, 15);
    await pool.set([ids[1]!, ids[14]!], 3);
    await compareDraws(pool, 15);
    await pool.set(ids, 0);
    await compareDraws(pool, 15);
  });

  test("draws follow the definition when a class has many groups", async () => {
    const pool = await createPool();
    let count = 0;
    for (let group = 0; group < 66; group += 1) {
      const size = 1 + (group % 4);
      await pool.add(`group ${group}`, 5, size, 1 + (group % 15));
      count += size;
      if ([1, 15, 16, 64].includes(group)) await compareDraws(pool, count);
    }
    const nodes = await pool.nodes(count);
    await pool.set(
      nodes.filter((_, i) => i % 3 === 0).map((node) => node.id),
      0,
    );
    await compareDraws(pool, count);
  });

  test("draws follow the definition when a group needs several chunks and its quorum spans them", async () => {
    const pool = await createPool();
    await pool.add("large", 5, 1012, 8);
    await pool.add("small", 5, 2, 8);
    await compareDraws(pool, 1014);
    const nodes = await pool.nodes(1014);
    const kept = [nodes[3]!.id, nodes[1009]!.id, nodes[1011]!.id];
    await pool.set(
      nodes.map((node) => node.id).filter((id) => !kept.includes(id)),
      0,
    );
    await compareDraws(pool, 1014);
    assert.equal((await pool.draws(5, true, 1n, 1))[0]!.length, 3);
    await pool.set([kept[0]!], 0);
    await compareDraws(pool, 1014);
    await pool.set([kept[0]!], 2);
    await compareDraws(pool, 1014);
  });

  test("first picks are proportional to the weight", async () => {
    const pool = await createPool();
    const weights = [1, 2, 4, 8, 15, 15];
    for (const [i, weight] of weights.entries()) await pool.add(`gpu ${i % 2}`, 3 + (i % 2), 1, weight);
    const nodes = await pool.nodes(6);
    const counts = new Map(nodes.map((node) => [node.id, 0]));
    for (let batch = 0; batch < 2; batch += 1) {
      for (const [first] of await pool.draws(0, false, BigInt(batch * 150), 150)) {
        counts.set(first!, counts.get(first!)! + 1);
      }
    }
    const total = weights.reduce((a, b) => a + b, 0);
    const chi = chiSquare(
      [...counts.values()],
      weights.map((weight) => weight / total),
    );
    assert.ok(chi < 20.5, `chi-square ${chi} with 5 degrees of freedom (0.1 %)`);
    const uniform = chiSquare(
      [...counts.values()],
      weights.map(() => 1 / 6),
    );
    assert.ok(uniform > 20.5, "the test can tell a draw that ignores weights");
  });

  test("all three picks of equal nodes are uniform, also across leaf words", async () => {
    const pool = await createPool();
    await pool.add("a", 3, 20, 8);
    const counts = new Map((await pool.nodes(20)).map((node) => [node.id, 0]));
    for (const ids of await pool.draws(0, true, 0n, 150)) {
      assert.equal(new Set(ids).size, 3);
      for (const id of ids) counts.set(id, counts.get(id)! + 1);
    }
    const chi = chiSquare(
      [...counts.values()],
      [...counts].map(() => 1 / 20),
    );
    assert.ok(chi < 43.8, `chi-square ${chi} with 19 degrees of freedom (0.1 %)`);
  });

  test("a GPU group is drawn in proportion to its weight", async () => {
    const pool = await createPool();
    await pool.add("three", 3, 3, 8);
    await pool.add("six", 4, 6, 8);
    await pool.add("two", 5, 2, 15);
    const groups = new Map((await pool.nodes(11)).map((node) => [node.id, node.group]));
    const counts = new Map<Hex, number>();
    for (const ids of await pool.draws(0, true, 0n, 150)) {
      const drawn = new Set(ids.map((id) => groups.get(id)!));
      assert.equal(drawn.size, 1, "three nodes of one group");
      for (const group of drawn) counts.set(group, (counts.get(group) ?? 0) + 1);
    }
    assert.equal(counts.size, 2, "never the group of two");
    const chi = chiSquare(
      [
        counts.get(groups.values().next().value!)!,
        [...counts.values()].reduce((a, b) => a + b) - counts.get(groups.values().next().value!)!,
      ],
      [1 / 3, 2 / 3],
    );
    assert.ok(chi < 10.8, `chi-square ${chi} with 1 degree of freedom (0.1 %)`);
  });
});

test("a task's VRAM limit and GPU group are respected", async () => {
  const net = await createNetwork({ nodes: 0 });
  for (const [i, [name, vram]] of (
    [
      ["a", 8n],
      ["a", 8n],
      ["b", 24n],
      ["b", 24n],
      ["c", 24n],
      ["c", 24n],
      ["c", 24n],
    ] as const
  ).entries()) {
    await net.join(account(`n${i}`), name, vram);
  }
  const small = new Set([account("n0"), account("n1")]);
  for (let i = 0; i < 4; i += 1) {
    const taskId = await net.create(taskType.sd, 9n);
    const play = await net.draw(taskId);
    assert.ok(play.nodes.every((node) => !small.has(node)));
    net.evm.advance(301);
    await play.cancel();
  }
  const gpt = await net.play(taskType.gpt, 4n);
  for (const round of [0, 1, 2]) assert.equal((await gpt.nodeInfo(round)).gpu.name, "c");
  await refused(net.play(taskType.gpt, 4n), "NotEnoughNodes");
  await refused(net.play(taskType.sd, 24n), "NotEnoughNodes");
});
