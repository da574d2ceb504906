import assert from "node:assert/strict";
import { test } from "node:test";
import { startDevnet } from "@hydrogen/devnet";
import { parseReceipt, verifyReceipt } from "@hydrogen/protocol";
import { systemClock, waitFor } from "@hydrogen/std";
import { silentLogger } from "@hydrogen/telemetry";
import {
  argsFor,
  assertBooksBalance,
  clientOf,
  finished,
  modelsDir,
  network,
  temporaryDir,
  verifiedImage,
} from "./support.ts";

test("bad args are refused with a code before any fee is paid", async (t) => {
  const devnet = await network(t);
  const client = clientOf(devnet);
  const wallet = devnet.network.wallets.bridge as `0x${string}`;
  const balanceWei = await devnet.chain.token.balanceOf(wallet);
  const good = JSON.parse(await argsFor(client, "a red apple", 1));
  const bad: [object | string, string][] = [
    ["not json", "ARGS_NOT_JSON"],
    [{ ...good, prompt: "" }, "ARGS_INVALID"],
    [{ ...good, task_config: { ...good.task_config, steps: 0 } }, "ARGS_INVALID"],
    [{ ...good, task_config: { ...good.task_config, image_width: 65 } }, "ARGS_INVALID"],
    [{ ...good, lora: { model: "someone/some-lora" } }, "TASK_UNSUPPORTED"],
    [{ ...good, base_model: "nobody/nothing" }, "MODEL_NOT_OFFERED"],
    [
      { ...good, task_config: { ...good.task_config, image_width: 2048, image_height: 2048 } },
      "VRAM_NOT_OFFERED",
    ],
  ];
  for (const [args, code] of bad) {
    const taskArgs = typeof args === "string" ? args : JSON.stringify(args);
    await assert.rejects(client.createTask({ taskType: 0, taskArgs }), { code }, taskArgs);
  }
  assert.equal(await devnet.chain.token.balanceOf(wallet), balanceWei);
  assert.equal(await devnet.chain.task.totalTasks(), 0n);
  await assertBooksBalance(devnet.chain);
});

test("a chain that is killed in the middle of a task fails nothing", async (t) => {
  const devnet = await network(t);
  const client = clientOf(devnet);
  const { id } = await client.createTask({ taskType: 0, taskArgs: await argsFor(client, "a red apple", 5) });
  const killed: string[] = [];
  for await (const { status } of client.follow(id, AbortSignal.timeout(300_000))) {
    if (["done", "failed"].includes(status)) assert.equal(status, "done");
    if (!["drawing", "executing", "fetching"].includes(status) || killed.includes(status)) continue;
    killed.push(status);
    devnet.process("chain").kill();
  }
  assert.ok(killed.length > 0, "it was killed at least once");
  const receipt = parseReceipt(await client.getReceipt(id));
  const image = await client.getImage(id, 0);
  assert.deepEqual(
    verifyReceipt(receipt, { taskArgs: await argsFor(client, "a red apple", 5), files: [image] }),
    [],
  );
  assert.equal(await devnet.chain.task.totalTasks(), 1n);
  await assertBooksBalance(devnet.chain);
});

test("a task waits out a relay that is away, a node that is killed, and a bridge that is killed", async (t) => {
  const devnet = await network(t);
  const client = clientOf(devnet);

  await devnet.process("relay").stop();
  const taskArgs = await argsFor(client, "a yellow star", 11);
  const { id } = await client.createTask({ taskType: 0, taskArgs });
  await waitFor(async () => (await devnet.chain.task.totalTasks()) === 1n, { clock: systemClock });
  await devnet.process("relay").start();
  assert.equal((await finished(client, id)).status, "done");
  await assertBooksBalance(devnet.chain);

  const second = await client.createTask({ taskType: 0, taskArgs: await argsFor(client, "a cat", 12) });
  await waitFor(async () => (await client.getTask(second.id)).status === "executing", { clock: systemClock });
  devnet.process("node-0").kill();
  assert.equal((await finished(client, second.id)).status, "done");

  const third = await client.createTask({ taskType: 0, taskArgs: await argsFor(client, "a green tree", 13) });
  devnet.process("bridge").kill();
  await devnet.process("bridge").start();
  const ended = await waitFor(
    async () => {
      const task = await client.getTask(third.id).catch(() => undefined);
      return task !== undefined && ["done", "failed"].includes(task.status) ? task : undefined;
    },
    { clock: systemClock, intervalMs: 300 },
  );
  assert.equal(ended.status, "done");
  assert.equal(await devnet.chain.task.totalTasks(), 3n, "nothing was created twice");
  await assertBooksBalance(devnet.chain);
});

test("a network that was killed in the middle of a task is taken up where it was", async (t) => {
  const dataDir = temporaryDir(t);
  const options = { dataDir, modelsDirs: [modelsDir], anyPort: true };
  const before = await startDevnet(options, { log: silentLogger });
  const names = ["bridge", "node-0", "node-1", "node-2", "relay", "chain"];
  const client = clientOf(before);
  const first = await verifiedImage(client, await argsFor(client, "a red apple", 21));
  const pending = await client.createTask({
    taskType: 0,
    taskArgs: await argsFor(client, "a blue heart", 22),
  });
  await waitFor(async () => (await client.getTask(pending.id)).status === "executing", {
    clock: systemClock,
  });
  for (const name of names) before.process(name).kill();
  await before.close();

  const after = await network(t, options);
  assert.deepEqual(after.network, before.network);
  const again = clientOf(after);
  assert.deepEqual(await again.getImage(first.task.id, 0), first.image);
  assert.equal((await finished(again, pending.id)).status, "done");
  assert.equal(await after.chain.task.totalTasks(), 2n);
  await assertBooksBalance(after.chain);
});
