import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReceipt, TaskStatus, verifyReceipt } from "@hydrogen/protocol";
import { parseBridgeConfig } from "./config.ts";
import { finished, someArgs, startTestBridge } from "./testing/test-bridge.ts";

const cnx = 10n ** 18n;
const parameters = { queueSec: 60n, commitSec: 300n, revealSec: 60n, uploadSec: 60n };

test("the bridge on a network", { timeout: 180_000 }, async (t) => {
  const network = await startTestBridge(t, { parameters });
  const { chain, wallet } = network;
  const { url } = await network.start({ maxConcurrentTasks: 1 });
  const rich = network.client(url);
  const poor = network.client(url, "poor");
  const submit = (client = rich, taskArgs = someArgs()) => client.createTask({ taskType: 0, taskArgs });
  const onChain = (taskId: bigint) =>
    network.until(async () => (await chain.task.totalTasks()) >= taskId && network.drawn(taskId));

  await t.test("answers every error with its status and code, and pays for none of them", async () => {
    const unknown = "00000000-0000-4000-8000-000000000000";
    const cases: [number, string, string, RequestInit?][] = [
      [404, "ROUTE_NOT_FOUND", "/nothing"],
      [401, "API_KEY_INVALID", `/v1/inference_tasks/${unknown}`, { headers: {} }],
      [404, "TASK_NOT_FOUND", `/v1/inference_tasks/${unknown}`],
      [400, "REQUEST_INVALID", "/v1/inference_tasks", post("{")],
      [400, "REQUEST_INVALID", "/v1/inference_tasks", post({ task_type: 0 })],
      [400, "TASK_TYPE_UNSUPPORTED", "/v1/inference_tasks", post({ task_type: 1, task_args: "{}" })],
      [400, "ARGS_NOT_JSON", "/v1/inference_tasks", post({ task_args: "{" })],
      [400, "ARGS_INVALID", "/v1/inference_tasks", post({ task_args: "{}" })],
      [400, "VRAM_NOT_OFFERED", "/v1/inference_tasks", post({ task_args: someArgs(1, 2048) })],
      [413, "BODY_TOO_LARGE", "/v1/inference_tasks", post({ task_args: "x".repeat(17_000_000) })],
    ];
    for (const [status, code, path, init] of cases) {
      const headers = { authorization: "Bearer rich", "content-type": "application/json" };
      const response = await fetch(url + path, { headers, ...init });
      const problem = (await response.json()) as { code: string; status: number };
      assert.deepEqual([response.status, problem.status, problem.code], [status, status, code]);
    }
    assert.equal(await chain.token.balanceOf(wallet), 1_000n * cnx);
    function post(body: unknown): RequestInit {
      return { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) };
    }
  });

  await t.test("delivers, and cancels only what was never sent to the chain", async () => {
    const first = await submit(poor);
    await onChain(1n);
    const second = await submit(rich, someArgs(2));
    await assert.rejects(poor.cancelTask(first.id), { code: "TASK_NOT_CANCELLABLE" });
    await assert.rejects(poor.getReceipt(first.id), { code: "TASK_NOT_DONE" });
    await assert.rejects(poor.getTask(second.id), { code: "TASK_NOT_FOUND" });
    assert.equal((await rich.cancelTask(second.id)).status, "cancelled");
    await network.playWithFiles(1n);
    assert.equal((await finished(poor, first.id)).status, "done");
    const files = [await poor.getImage(first.id, 0)];
    const receipt = parseReceipt(await poor.getReceipt(first.id));
    assert.deepEqual(verifyReceipt(receipt, { taskArgs: someArgs(), files }), []);
    await assert.rejects(poor.getImage(first.id, 1), { code: "IMAGE_NOT_FOUND" });
    await assert.rejects(submit(poor), { code: "BUDGET_EXHAUSTED" });
    assert.equal(await chain.task.totalTasks(), 1n);
  });

  await t.test("what a task did not cost can be spent again: 20 of 30 CNX, or nothing", async () => {
    const restarted = await startWithBudget(60n);
    const { id } = await submit(restarted.client);
    const [a, b, c] = await onChain(2n).then(() => network.drawn(2n));
    for (const node of [a!, b!, c!]) await node.commit(2n);
    for (const node of [a!, b!]) await node.reveal(2n);
    await network.upload(2n, a!);
    await network.passTime(70);
    assert.equal((await finished(restarted.client, id)).status, "done");
    // 20 spent of 60: one more fits. It is refunded whole, so that another one does.
    const silent = await submit(restarted.client);
    await assert.rejects(submit(restarted.client), {
      code: "BUDGET_EXHAUSTED",
      facts: { leftWei: (10n * cnx).toString(), feeWei: (30n * cnx).toString() },
    });
    await onChain(3n);
    await network.passTime(310);
    const ended = await finished(restarted.client, silent.id);
    assert.equal(ended.error?.code, "TASK_ABORTED_ON_CHAIN");
    const last = await submit(restarted.client);
    await onChain(4n);
    await network.playWithFiles(4n);
    assert.equal((await finished(restarted.client, last.id)).status, "done");
    assert.equal(await chain.token.balanceOf(wallet), (1_000n - 30n - 20n - 30n) * cnx);
    await restarted.bridge.close();
  });

  await t.test("says why it cannot start", async () => {
    await assert.rejects(network.start(), { code: "STORAGE_IN_USE" });
    const port = Number(new URL(url).port);
    await assert.rejects(network.start({ dataDir: "other", port }), {
      code: "BRIDGE_LISTEN_FAILED",
      facts: { host: "127.0.0.1", port },
    });
    const keystore = { path: "wallet.json", passwordEnv: "NOT_SET", passwordFile: "missing" };
    await assert.rejects(network.start({ dataDir: "other", keystore }), { code: "BRIDGE_PASSWORD_MISSING" });
    assert.throws(() => parseBridgeConfig({ hots: "127.0.0.1" }, "/"), { code: "BRIDGE_CONFIG_INVALID" });
  });

  await t.test("a chain that is away is 503, and asking again may help", async () => {
    await network.stopChain();
    await assert.rejects(submit(), { code: "CHAIN_UNREACHABLE", retryable: true });
    const body = JSON.stringify({ task_args: someArgs() });
    const headers = { authorization: "Bearer rich", "content-type": "application/json" };
    const response = await fetch(`${url}/v1/inference_tasks`, { method: "POST", headers, body });
    assert.equal(response.status, 503);
    await network.startChain();
    assert.equal((await chain.task.getTask(4n)).status, TaskStatus.Done);
  });

  async function startWithBudget(budgetCnx: bigint) {
    const apiKeys = [{ name: "k", sha256: sha256OfK, budgetWei: (budgetCnx * cnx).toString() }];
    const bridge = await network.start({ dataDir: "budget", apiKeys });
    return { bridge, client: network.client(bridge.url, "k") };
  }
});

/** echo -n k | sha256sum */
const sha256OfK = "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a";
