/**
 * A seeded walk of random steps through everything that anyone can do, right or wrong. Along the way the
 * books must balance, every node must be where its status says, and every task must end with its fee paid or returned.
 *
 * The seed is printed; to walk it again, or further: SEED=… STEPS=5000 node --test contracts/test/invariants.test.ts
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { type Address, type Hex, keccak256, toHex } from "viem";
import { eventsOf, Reverted } from "./support/evm.ts";
import {
  account,
  createNetwork,
  nodeStatus,
  type Play,
  type Statement,
  taskStatus,
  taskType,
  verdict,
} from "./support/network.ts";

const steps = Number(process.env.STEPS ?? 600);
const seed = process.env.SEED === undefined ? randomInt(2 ** 31) : Number(process.env.SEED);

/** mulberry32: small, seeded, good enough to choose steps. */
function createDice(start: number) {
  let state = start;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    chance: (probability: number): boolean => next() < probability,
    below: (limit: number): number => Math.floor(next() * limit),
    pick: <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)]!,
  };
}

const gpus: readonly (readonly [name: string, vram: bigint])[] = [
  ["small", 8n],
  ["large", 24n],
  ["large", 24n],
  ["large too", 24n],
  ["huge", 80n],
];

const duringTheWalk = ["TaskSuccess", "TaskNodeSlashed", "TaskNodeMissed", "Task Cancelled"];

test(`the invariants hold over ${steps} random steps and more (seed ${seed})`, async (t) => {
  t.diagnostic(`SEED=${seed}`);
  const dice = createDice(seed);
  const net = await createNetwork({ nodes: 0, seed: BigInt(seed), checkBooks: false });
  const people = Array.from({ length: 14 }, (_, i) => account(`person ${i}`));
  const tasks: { id: bigint; type: bigint; play?: Play }[] = [];
  const statuses = new Map<bigint, number>();
  const ended = new Set<bigint>();
  const settled = new Set<bigint>();
  const outcomes = new Map<string, number>();
  const allowed = new Map<number, readonly number[]>([
    [taskStatus.none, [taskStatus.pending]],
    [taskStatus.pending, [taskStatus.executing, taskStatus.aborted]],
    [taskStatus.executing, [taskStatus.revealing, taskStatus.aborted]],
    [taskStatus.revealing, [taskStatus.uploading, taskStatus.aborted]],
    [taskStatus.uploading, [taskStatus.done, taskStatus.aborted]],
    [taskStatus.done, []],
    [taskStatus.aborted, []],
  ]);

  const result = (task: { id: bigint; type: bigint }, variant: number): Hex => {
    const truth = keccak256(toHex(`${task.id} ${variant > 1 ? variant : 0}`));
    if (task.type === taskType.gpt) return truth;
    const images = task.id % 5n === 0n ? 4 : 1;
    const nibble = (Number.parseInt(truth.charAt(17), 16) ^ (variant === 1 ? 15 : 0)).toString(16);
    return `${truth.slice(0, 17)}${nibble}${truth.slice(2, 18).repeat(images - 1)}` as Hex;
  };

  const statement = (task: { id: bigint; type: bigint }): Statement => {
    if (dice.chance(0.12)) return { errorClass: 1 + dice.below(2) };
    return { result: result(task, dice.chance(0.8) ? dice.below(2) : 2 + dice.below(2)) };
  };

  async function draw(task: (typeof tasks)[number]): Promise<void> {
    const play = await net.draw(task.id).catch(async (error: unknown) => {
      // Whoever is idle comes to help out, or the walk would mostly wait.
      if (!(error instanceof Reverted) || error.errorName !== "NotEnoughNodes") throw error;
      for (const person of people) {
        const { status } = await net.info(person);
        if (status === nodeStatus.quit) return void (await net.join(person, "large", 24n));
        if (status === nodeStatus.paused) return void (await net.send(person, net.node, "resume", []));
      }
      return undefined;
    });
    if (play === undefined) return;
    // A draw that comes too late for its block only anchors again.
    if (play.nodes.length > 0) task.play = play;
  }

  /** What an outsider, or a node out of turn, may try. */
  async function meddle(task: (typeof tasks)[number], person: Address): Promise<unknown> {
    const round = dice.below(3);
    switch (dice.below(6)) {
      case 0:
        return net.send(person, net.task, "cancelTask", [task.id]);
      case 1:
        return draw(task);
      case 2:
        return net.send(person, net.task, "submitTaskResultCommitment", [
          task.id,
          BigInt(round),
          keccak256("0x"),
        ]);
      case 3:
        return net.send(person, net.task, "reportResultsUploaded", [task.id, BigInt(round)]);
      case 4:
        return task.play?.upload(round);
      default:
        return task.play?.hasCommitted(round) ? task.play.reveal(round) : undefined;
    }
  }

  /** What a selected node does in its turn, if the task has one. */
  async function proceed(task: (typeof tasks)[number]): Promise<unknown> {
    const info = await net.getTask(task.id);
    if (info.status === taskStatus.pending) {
      return draw(task);
    }
    const waiting = (said: number): number[] => [0, 1, 2].filter((round) => info.verdicts[round] === said);
    const silent = waiting(verdict.none);
    if (
      info.status === taskStatus.executing &&
      silent.length > 0 &&
      (silent.length > 1 || dice.chance(0.5))
    ) {
      return task.play?.commit(dice.pick(silent), statement(task));
    }
    const unrevealed = waiting(verdict.committed);
    if (unrevealed.length > 0 && dice.chance(0.8)) return task.play?.reveal(dice.pick(unrevealed));
    if (info.status === taskStatus.uploading) {
      return task.play?.upload(dice.chance(0.8) ? Number(info.resultRound) : dice.below(3));
    }
  }

  async function act(): Promise<unknown> {
    const person = dice.pick(people);
    const live = tasks.filter(({ id }) => !ended.has(id));
    if (live.length === 0 || (live.length < 3 && dice.chance(0.15))) {
      const type = dice.chance(0.8) ? taskType.sd : taskType.gpt;
      tasks.push({ id: await net.create(type, dice.pick([0n, 8n, 9n, 24n])), type });
      return;
    }
    const task = dice.pick(live);
    const kind = dice.below(20);
    if (kind < 2) return net.join(person, ...dice.pick(gpus));
    if (kind === 2)
      return net.send(person, net.node, dice.pick(["quit", "pause", "resume", "resume", "resume"]), []);
    if (kind === 5 && dice.chance(0.3)) return net.send(person, net.node, "withdraw", []);
    if (kind === 3) return net.evm.advance(dice.pick([1, 5, 11, 11, 11, 62, 125, 305]));
    if (kind === 4) return meddle(dice.chance(0.5) ? task : dice.pick(tasks), person);
    return proceed(task);
  }

  async function checkTasks(): Promise<void> {
    for (const { id } of tasks) {
      if (settled.has(id)) continue;
      const old = statuses.get(id) ?? taskStatus.none;
      const info = await net.getTask(id);
      if (info.status !== old) {
        assert.ok(reachable(old, info.status), `task ${id} went from ${old} to ${info.status}`);
        statuses.set(id, info.status);
      }
      const entry = net.ledger.get(id)!;
      assert.ok(entry.paidWei + entry.refundedWei <= entry.feeWei, `task ${id} paid more than its fee`);
      const over = info.status === taskStatus.done || info.status === taskStatus.aborted;
      const waiting = info.resultRound !== 3n && info.verdicts.includes(verdict.committed);
      if (over && !waiting) {
        assert.equal(entry.paidWei + entry.refundedWei, entry.feeWei, `task ${id} kept money`);
        settled.add(id);
      }
      for (const [i, said] of info.verdicts.entries()) {
        const address = info.nodes[i]!;
        if (over || info.status < taskStatus.executing || said === verdict.missed) continue;
        const held =
          said !== verdict.result && said !== verdict.error ? true : info.status !== taskStatus.uploading;
        const node = await net.info(address);
        if (held || BigInt(i) === info.resultRound)
          assert.equal(node.taskId, id, `round ${i} of task ${id} is not at work on it`);
      }
    }
    const reached = [...statuses.values()];
    assert.equal(
      await net.evm.call(net.task, "totalSuccessTasks", []),
      BigInt(reached.filter((status) => status === taskStatus.done).length),
    );
    assert.equal(
      await net.evm.call(net.task, "totalAbortedTasks", []),
      BigInt(reached.filter((status) => status === taskStatus.aborted).length),
    );
  }

  function reachable(from: number, to: number): boolean {
    const next = allowed.get(from)!;
    return next.includes(to) || next.some((via) => via !== from && reachable(via, to));
  }

  net.onReceipt((receipt) => {
    for (const { name, args } of eventsOf(receipt, net.task.abi)) {
      const key = name === "TaskAborted" ? String(args.reason) : name;
      outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
      if (name === "TaskAborted" || name === "TaskResultUploaded") ended.add(args.taskId as bigint);
    }
  });

  for (const person of people.slice(0, 9)) await net.join(person, ...dice.pick(gpus));
  const unseen = () => duringTheWalk.filter((outcome) => !outcomes.has(outcome));
  // A walk that has not met everything yet goes on for a while.
  for (let step = 0; step < steps || (unseen().length > 0 && step < 5 * steps); step += 1) {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Reverted)) throw error;
      // Refusals are part of the walk, panics and unnamed reverts are not.
      assert.doesNotMatch(error.errorName, /^(0x|Panic|out of gas)/, error.message);
    }
    if (step % 20 === 0) await net.checkBooks();
    if (step % 20 === 0) await checkTasks();
  }

  // One that nobody draws, whatever the dice did: its time runs out in the queue.
  tasks.push({ id: await net.create(taskType.sd, 8n), type: taskType.sd });
  // Let time run out on everything: no task stays open and no node stays held.
  net.evm.advance(3600);
  for (const { id } of tasks) {
    for (let i = 0; i < 3; i += 1) {
      await net.send(net.owner, net.task, "cancelTask", [id]).catch((error: unknown) => {
        if (!(error instanceof Reverted)) throw error;
      });
    }
  }
  await checkTasks();
  await net.checkBooks();
  for (const [id, status] of statuses)
    assert.ok(status >= taskStatus.done, `task ${id} is stuck in ${status}`);
  for (const person of people) {
    const { status } = await net.info(person);
    assert.ok([nodeStatus.quit, nodeStatus.available, nodeStatus.paused].some((rest) => rest === status));
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
  assert.deepEqual(unseen(), [], "the walk met everything that can happen");
  assert.ok(outcomes.has("Task queue timeout"));
});
