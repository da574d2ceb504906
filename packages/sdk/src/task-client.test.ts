import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { chainError, type Sender } from "@hydrogen/chain";
import { TaskStatus, Verdict, verifyReceipt } from "@hydrogen/protocol";
import { systemClock } from "@hydrogen/std";
import { taskEvents } from "./receipt.ts";
import { createTaskClient, type TaskClient, type TaskHooks, type TaskOutcome } from "./task-client.ts";
import { createMemoryRelay, type MemoryRelay, relayProblem } from "./testing/memory-relay.ts";
import { picture } from "./testing/pictures.ts";
import { agreedFiles, type PlayedNetwork, startPlayedNetwork } from "./testing/played-network.ts";

const cnx = 10n ** 18n;
const argsText = '{"prompt":"a red apple"}';
const parameters = { queueSec: 60n, commitSec: 300n, revealSec: 60n, uploadSec: 60n };

type Setup = PlayedNetwork & { relay: MemoryRelay; client: TaskClient; sender: Sender };

async function start(t: TestContext): Promise<Setup> {
  const network = await startPlayedNetwork(t, { parameters });
  const relay = createMemoryRelay();
  const sender = network.newSender(network.application);
  return { ...network, relay, sender, client: createTaskClient({ chain: network.chain, sender, relay }) };
}

/** A task that goes on while the test plays the nodes. A failure is no news until the test asks for it. */
function begin(client: TaskClient, key: string, hooks: TaskHooks = {}) {
  const outcome = client.run(
    { key, taskType: 0, argsText, vramLimit: 4 },
    { signal: AbortSignal.timeout(60_000), ...hooks },
  );
  outcome.catch(() => undefined);
  return outcome;
}

const balanceOf = ({ chain, application }: PlayedNetwork) => chain.token.balanceOf(application.address);

test("the life of a task, and what may happen to it", { timeout: 180_000 }, async (t) => {
  const network = await start(t);
  const { chain, client, relay, sender, nodes } = network;
  let lastId = 0n;
  const next = () => ++lastId;
  const verified = ({ receipt, files }: TaskOutcome) =>
    assert.deepEqual(verifyReceipt(receipt, { taskArgs: argsText, files }), []);

  await t.test("pays, hands over args, draws, fetches, verifies, and writes a whole receipt", async () => {
    const stages: string[] = [];
    relay.progress = [{ round: 0, node: nodes[0]!.address, stage: "executing", step: 1, steps: 2 }];
    const shown: unknown[] = [];
    const running = begin(client, "whole", {
      onStage: (stage, taskId) => stages.push(`${stage} ${taskId ?? "-"}`),
      onRounds: (rounds) => shown.push(rounds),
    });
    const taskId = next();
    await network.drawn(taskId);
    await network.until(() => shown.length > 0 && stages.includes("executing 1"));
    relay.files.set(taskId, agreedFiles);
    await network.playAll(taskId);
    const outcome = await running;
    verified(outcome);
    assert.equal(relay.args.get(taskId), argsText);
    assert.deepEqual(shown[0], relay.progress);
    assert.equal(outcome.receipt.transactions[0]!.name, "createTask");
    assert.deepEqual(
      stages.filter((stage) => !stage.startsWith("revealing")),
      ["creating -", "uploading_args 1", "drawing 1", "executing 1", "fetching 1", "verifying 1"],
    );
    assert.equal(await client.spentWei(taskId), 30n * cnx);
  });

  await t.test("goes on after a crash without asking for the fee a second time", async () => {
    const elsewhere = 970n * cnx - 30n * cnx;
    await sender.send({ key: "spend", call: chain.calls.token.transfer(nodes[0]!.address, elsewhere) });
    const crash = new AbortController();
    const first = begin(client, "crash", {
      signal: crash.signal,
      onStage: (_, taskId) => taskId !== undefined && crash.abort(),
    });
    await assert.rejects(first, { name: "AbortError" });
    assert.equal(await balanceOf(network), 0n);
    const taskId = next();
    relay.files.set(taskId, agreedFiles);
    const again = begin(createTaskClient({ chain, sender, relay }), "crash");
    await network.playAll(taskId);
    verified(await again);
    assert.equal(await chain.task.totalTasks(), taskId);
    await network.giveCnx(network.application.address, 1_000n * cnx);
  });

  await t.test("a task's events come in pages that its RPC allows, without other tasks'", async () => {
    const granted: bigint[] = [];
    const strict: typeof chain = {
      ...chain,
      getLogs: async (range) => {
        if (!("fromBlock" in range)) throw new Error("a range");
        const blocks = range.toBlock - range.fromBlock + 1n;
        if (blocks > 5n) throw chainError("CHAIN_RPC_ERROR", { rpcMessage: "range too large" });
        granted.push(blocks);
        return chain.getLogs(range);
      },
    };
    const { deployedBlock: fromBlock } = chain.addresses;
    const all = await chain.getLogs({ fromBlock, toBlock: await chain.blockNumber() });
    const own = all.filter(({ args }) => "taskId" in args && args.taskId === 1n);
    assert.deepEqual(await taskEvents(strict, 1n), own);
    assert.ok(own.length >= 13 && own.length < all.length);
    assert.ok(granted.length > 3);
  });

  await t.test("an aborted signal pays nothing, even when it comes at the last moment", async () => {
    const before = await balanceOf(network);
    await assert.rejects(begin(client, "late", { signal: AbortSignal.abort() }), { name: "AbortError" });
    const controller = new AbortController();
    const slow = {
      ...chain,
      token: {
        ...chain.token,
        allowance: (...args: readonly [`0x${string}`, `0x${string}`]) => {
          controller.abort();
          return chain.token.allowance(...args);
        },
      },
    } as typeof chain;
    const impatient = createTaskClient({ chain: slow, sender, relay });
    await assert.rejects(begin(impatient, "late", { signal: controller.signal }), { name: "AbortError" });
    assert.equal(impatient.isSubmitted("late"), false);
    assert.equal(await balanceOf(network), before);
    assert.equal(await chain.task.totalTasks(), lastId);
  });

  await t.test("a third node that never reveals is charged before the receipt is written", async () => {
    const running = begin(client, "silent third");
    const taskId = next();
    const [a, b, c] = await network.drawn(taskId);
    for (const node of [a!, b!, c!]) await node.commit(taskId);
    for (const node of [a!, b!]) await node.reveal(taskId);
    relay.files.set(taskId, agreedFiles);
    await a!.reportUploaded(taskId);
    await network.passTime(70);
    const outcome = await running;
    verified(outcome);
    assert.equal(outcome.receipt.refundedWei, 10n * cnx);
    assert.equal(outcome.receipt.nodes[2]!.verdict, "Missed");
    assert.equal(await client.spentWei(taskId), 20n * cnx);
  });

  await t.test("a third node that reveals after the upload is in the receipt", async () => {
    const running = begin(client, "late third");
    const taskId = next();
    const [a, b, c] = await network.drawn(taskId);
    for (const node of [a!, b!, c!]) await node.commit(taskId);
    for (const node of [a!, b!]) await node.reveal(taskId);
    relay.files.set(taskId, agreedFiles);
    let verifying = false;
    await a!.reportUploaded(taskId);
    await network.until(async () => (await chain.task.getTask(taskId)).status === TaskStatus.Done);
    running.finally(() => (verifying = true)).catch(() => undefined);
    await systemClock.sleep(500);
    assert.equal(verifying, false, "it waits for the third");
    await c!.reveal(taskId);
    const outcome = await running;
    verified(outcome);
    assert.deepEqual(
      outcome.receipt.nodes.map(({ paymentWei }) => paymentWei),
      [10n * cnx, 10n * cnx, 10n * cnx],
    );
  });

  await t.test("a result that nobody uploads returns what it did not cost", async () => {
    const running = begin(client, "no upload");
    const taskId = next();
    const [a, b, c] = await network.drawn(taskId);
    for (const node of [a!, b!, c!]) await node.commit(taskId);
    for (const node of [a!, b!, c!]) await node.reveal(taskId);
    await network.passTime(100);
    await systemClock.sleep(300);
    assert.equal((await chain.task.getTask(taskId)).status, TaskStatus.Uploading, "others may still upload");
    await network.passTime(30);
    await assert.rejects(running, {
      code: "TASK_ABORTED_ON_CHAIN",
      facts: { taskId, reason: "Task result not uploaded", refundedWei: 10n * cnx },
    });
    assert.equal(await client.spentWei(taskId), 20n * cnx);
  });

  await t.test("three silent nodes cost nothing: the overdue task is ended and refunded", async () => {
    const before = await balanceOf(network);
    const running = begin(client, "silence");
    const taskId = next();
    await network.drawn(taskId);
    await network.passTime(310);
    await assert.rejects(running, {
      code: "TASK_ABORTED_ON_CHAIN",
      facts: { taskId, reason: "Task Cancelled", refundedWei: 30n * cnx },
    });
    assert.equal(await balanceOf(network), before);
    assert.equal(await client.spentWei(taskId), 0n);
  });

  await t.test(
    "args that the relay refuses end with the task, not before, and are named as the cause",
    async () => {
      relay.refuses = relayProblem("RELAY_TASK_NOT_RUNNING");
      const running = begin(client, "refused args");
      const taskId = next();
      await network.drawn(taskId);
      await network.passTime(310);
      await assert.rejects(running, (error: Error & { code?: string }) => {
        assert.equal(error.code, "TASK_ABORTED_ON_CHAIN");
        return (error.cause as { code?: string }).code === "RELAY_TASK_NOT_RUNNING";
      });
      relay.refuses = undefined;
    },
  );

  await t.test("a task that was aborted while its application was down is reported as aborted", async () => {
    const crash = new AbortController();
    const first = begin(client, "aborted meanwhile", { signal: crash.signal });
    const taskId = next();
    const [a, b, c] = await network.drawn(taskId);
    crash.abort();
    await assert.rejects(first, { name: "AbortError" });
    const fault = { errorClass: 1 } as const;
    for (const node of [a!, b!, c!]) await node.commit(taskId, fault);
    for (const node of [a!, b!, c!]) await node.reveal(taskId, fault);
    relay.refuses = relayProblem("RELAY_TASK_NOT_RUNNING");
    await assert.rejects(begin(client, "aborted meanwhile"), {
      code: "TASK_ABORTED_ON_CHAIN",
      facts: { taskId, reason: "Task error reported", refundedWei: 27n * cnx },
    });
    relay.refuses = undefined;
  });

  await t.test("waits out a chain that is away in every phase", async () => {
    const outage = async () => {
      await network.stopChain();
      await systemClock.sleep(400);
      await network.startChain();
    };
    await network.stopChain();
    const running = begin(client, "outage");
    await systemClock.sleep(300);
    await network.startChain();
    const taskId = next();
    const [a, b, c] = await network.drawn(taskId);
    await outage();
    for (const node of [a!, b!, c!]) await node.commit(taskId);
    for (const node of [a!, b!]) await node.reveal(taskId);
    await outage();
    await c!.reveal(taskId);
    relay.files.set(taskId, agreedFiles);
    await a!.reportUploaded(taskId);
    verified(await running);
  });

  await t.test(
    "files that are not those of the chain are asked for again, ever less often, then given up",
    async () => {
      const running = begin(createTaskClient({ chain, sender, relay, clock: hurried }), "wrong files");
      const taskId = next();
      relay.files.set(taskId, [picture(11)]);
      const asked = relay.asked();
      await network.playAll(taskId);
      await assert.rejects(running, { code: "RESULT_NOT_VERIFIED" });
      assert.ok(relay.asked() - asked <= 21, `${relay.asked() - asked} times`);
      assert.equal(await client.spentWei(taskId), 30n * cnx);
    },
  );

  await t.test("a task that a reorganisation takes away is followed under its new id", async () => {
    const before = await network.snapshot();
    const running = begin(client, "moved");
    await network.drawn(next());
    await network.revert(before);
    relay.files.set(lastId, agreedFiles);
    await network.playAll(lastId);
    verified(await running);
  });

  await t.test("too few nodes: the queue's time passes, the task is ended and refunded", async () => {
    const pause = nodes.map((node) => network.newSender(node.account));
    await pause[0]!.send({ key: "pause", call: chain.calls.node.pause() });
    const before = await balanceOf(network);
    const running = begin(client, "nobody");
    const taskId = next();
    await network.until(async () => (await chain.task.totalTasks()) === taskId);
    await network.passTime(70);
    await assert.rejects(running, {
      code: "TASK_ABORTED_ON_CHAIN",
      facts: { taskId, reason: "Task queue timeout", refundedWei: 30n * cnx },
    });
    assert.equal(await balanceOf(network), before);
    assert.deepEqual((await chain.task.getTask(taskId)).verdicts, [Verdict.None, Verdict.None, Verdict.None]);
  });
});

/** Sleeps a fiftieth as long. */
const hurried = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 50, signal),
};
