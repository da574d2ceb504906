import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { filesDigest, keccak256 } from "@hydrogen/protocol";
import { type Clock, systemClock, waitFor } from "@hydrogen/std";
import { silentLogger } from "@hydrogen/telemetry";
import { startRelay } from "./relay.ts";
import { argsText, people, picture, startFixture } from "./testing/relay-fixture.ts";

const { creator, nodes } = people;

test("carries the args from the creator to the nodes, and progress back", async (t) => {
  const { client, task, followed } = await startFixture(t);
  await task.pending(7n);
  const uploaded = await client(creator).uploadArgs(7n, argsText);
  assert.equal(uploaded.task_args, argsText);
  assert.equal(uploaded.status, "pending");
  await assert.rejects(client(nodes[1]).getTask(7n), { code: "RELAY_SIGNER_NOT_ALLOWED" });
  await task.drawn(8n);
  const forNode = await client(nodes[1]).getTask(8n);
  assert.deepEqual(forNode.selected_nodes, [{ round: 1, address: nodes[1].address.toLowerCase() }]);
  assert.equal(forNode.task_args, argsText);
  await followed();
  assert.equal((await client(creator).getTask(8n)).selected_nodes.length, 3);

  await client(nodes[1]).postProgress(8n, { round: 1, stage: "denoising", step: 2, steps: 4 });
  await client(nodes[1]).postProgress(8n, { round: 1, stage: "denoising", step: 3, steps: 4 });
  const [progress, ...others] = await client(creator).getProgress(8n);
  assert.deepEqual(others, []);
  assert.equal(progress?.step, 3);
  assert.equal(progress?.node, nodes[1].address.toLowerCase());
});

test("carries the files from the result node to the creator", async (t) => {
  const { client, task } = await startFixture(t);
  const files = [picture(1), picture(2)];
  await task.succeeded(3n, files);
  await assert.rejects(client(creator).getResult(3n, 0), {
    code: "RELAY_RESULT_NOT_UPLOADED",
    retryable: true,
  });
  await client(nodes[0]).uploadResults(3n, files);
  await client(nodes[0]).uploadResults(3n, files);
  assert.deepEqual(await client(creator).getResult(3n, 0), files[0]);
  assert.deepEqual(await client(creator).getResult(3n, 1), files[1]);
  await assert.rejects(client(creator).getResult(3n, 2), { code: "RELAY_FILE_NOT_FOUND" });
  await assert.rejects(client(nodes[0]).getResult(3n, 0), { code: "RELAY_SIGNER_NOT_ALLOWED" });
});

test("lets two upload the same result at once", async (t) => {
  const { client, task } = await startFixture(t);
  const files = [picture(1), picture(2)];
  await task.succeeded(3n, files);
  await Promise.all([1, 2, 3].map(() => client(nodes[0]).uploadResults(3n, files)));
  assert.deepEqual(await client(creator).getResult(3n, 1), files[1]);
});

test("deletes uploads after their time, and only then", async (t) => {
  let aheadMs = 0;
  const hour = Promise.withResolvers<void>();
  const clock: Clock = {
    nowMs: () => systemClock.nowMs() + aheadMs,
    // The first hour ends when the test says so.
    sleep: (ms, signal) =>
      Promise.race([
        systemClock.sleep(ms, signal),
        ...(ms >= 3_600_000 && aheadMs === 0 ? [hour.promise] : []),
      ]),
  };
  const { client, task, dataDir } = await startFixture(t, { clock, config: { retentionDays: 2 } });
  await task.succeeded(3n, [picture(1)]);
  await client(creator).uploadArgs(3n, argsText);
  await client(nodes[0]).uploadResults(3n, [picture(1)]);
  aheadMs = 1.9 * 24 * 3_600_000;
  await client(creator).getResult(3n, 0);
  aheadMs = 2.1 * 24 * 3_600_000;
  hour.resolve();
  const blobs = () =>
    readdirSync(join(dataDir, "blobs"), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
  await waitFor(() => blobs().length === 0, { clock: systemClock, intervalMs: 10 });
  await assert.rejects(client(creator).getResult(3n, 0), { code: "RELAY_RESULT_NOT_UPLOADED" });
  await assert.rejects(client(creator).getTask(3n), { code: "RELAY_ARGS_NOT_UPLOADED" });
});

test("says with every file which one it is", async (t) => {
  const { client, task, fetch, signSeeds } = await startFixture(t);
  const files = [picture(1), picture(2)];
  await task.succeeded(3n, files);
  await client(nodes[0]).uploadResults(3n, files);
  const query = await signSeeds(creator, { image_num: "1", task_id: 3 });
  const response = await fetch(`/v1/inference_tasks/3/results/1?${query}`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "image/png");
  assert.equal(response.headers.get("content-length"), String(files[1]!.length));
  assert.equal(response.headers.get("etag"), `"${keccak256(files[1]!)}"`);
  const sha256 = createHash("sha256").update(files[1]!).digest("base64");
  assert.equal(response.headers.get("content-digest"), `sha-256=:${sha256}:`);
  assert.equal(response.headers.get("hydrogen-files-digest"), filesDigest(files));
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), files[1]);
});

test("speaks the seeds' scheme in every place it puts a signature", async (t) => {
  const { task, fetch, seedsFields, signSeeds } = await startFixture(t);
  const post = (path: string, body: object) =>
    fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const files = [picture(4)];
  await task.drawn(5n);
  const args = { task_args: argsText, task_id: 5 };
  assert.equal(
    (await post("/v1/inference_tasks", { ...args, ...(await seedsFields(creator, args)) })).status,
    200,
  );
  const task5 = await signSeeds(nodes[2], { task_id: 5 });
  assert.equal((await fetch(`/v1/inference_tasks/5?${task5}`)).status, 200);
  const progress = { round: 2, stage: "loading", step: 0, steps: 4 };
  const signed = { ...progress, ...(await seedsFields(nodes[2], { ...progress, task_id: 5 })) };
  assert.equal((await post("/v1/inference_tasks/5/progress", signed)).status, 200);

  await task.succeeded(6n, files);
  const form = new FormData();
  const fields = await seedsFields(nodes[0], { task_id: 6 });
  form.set("timestamp", String(fields.timestamp));
  form.set("signature", fields.signature);
  form.set("images", new Blob([new Uint8Array(files[0]!)]), "0.png");
  assert.equal((await fetch("/v1/inference_tasks/6/results", { method: "POST", body: form })).status, 200);
  const result = await signSeeds(creator, { image_num: "0", task_id: 6 });
  assert.equal((await fetch(`/v1/inference_tasks/6/results/0?${result}`)).status, 200);
});

test("takes args and results only while the task is in the state for them", async (t) => {
  const { client, task, followed } = await startFixture(t);
  const files = [picture(1)];
  await assert.rejects(client(creator).uploadArgs(1n, argsText), {
    code: "RELAY_TASK_NOT_FOUND",
    retryable: true,
  });
  await task.drawn(1n);
  await assert.rejects(client(nodes[0]).getTask(1n), { code: "RELAY_ARGS_NOT_UPLOADED", retryable: true });
  await assert.rejects(client(nodes[0]).uploadResults(1n, files), {
    code: "RELAY_TASK_NOT_DECIDED",
    retryable: true,
  });
  await assert.rejects(client(creator).getResult(1n, 0), { code: "RELAY_TASK_NOT_DECIDED", retryable: true });
  await task.aborted(2n);
  await followed();
  await assert.rejects(client(creator).getResult(2n, 0), { code: "RELAY_TASK_ABORTED", retryable: false });
  await assert.rejects(client(creator).uploadArgs(2n, argsText), { code: "RELAY_TASK_NOT_RUNNING" });
  await assert.rejects(client(nodes[0]).postProgress(2n, { round: 0, stage: "x", step: 0, steps: 1 }), {
    code: "RELAY_TASK_NOT_RUNNING",
  });
  await client(creator).uploadArgs(1n, argsText);
  await client(creator).uploadArgs(1n, argsText);
  await client(creator).uploadArgs(2n, argsText); // the same args of the same creator: nothing changes
});

test("keeps a second relay off its data", async (t) => {
  const { chain, dataDir } = await startFixture(t);
  const { rpcUrl, addresses } = chain;
  await assert.rejects(startRelay({ dataDir, rpcUrl, addresses }, { log: silentLogger }), {
    code: "STORAGE_IN_USE",
  });
});

test("describes itself: health, metrics, OpenAPI, clock", async (t) => {
  const { client, task, fetch, relay } = await startFixture(t);
  await task.pending(1n);
  await client(creator).uploadArgs(1n, argsText);
  const json = async (path: string) => (await fetch(path)).json();
  const health = await json("/health");
  assert.deepEqual([health.status, health.database, health.chain.reachable], ["ok", true, true]);
  const metrics = await (await fetch("/metrics")).text();
  assert.match(metrics, /relay_requests_total\{method="POST",route="\/v1\/inference_tasks",status="200"\} 1/);
  const document = await json("/openapi.json");
  assert.equal(document.servers[0].url, relay.url);
  assert.deepEqual(Object.keys(document.paths).sort(), [
    "/health",
    "/v1/inference_tasks",
    "/v1/inference_tasks/{task_id}",
    "/v1/inference_tasks/{task_id}/progress",
    "/v1/inference_tasks/{task_id}/results",
    "/v1/inference_tasks/{task_id}/results/{image_num}",
    "/v1/network/nodes/data",
    "/v1/network/nodes/number",
    "/v1/now",
  ]);
  const clockSec = await client(creator).now();
  assert.ok(Math.abs(clockSec - Date.now() / 1000) < 5);
});

test("answers web pages of the configured origins only, and never asks for cookies", async (t) => {
  const { fetch } = await startFixture(t, { config: { corsOrigins: ["https://studio.example"] } });
  const allowed = async (origin: string) => {
    const { headers } = await fetch("/v1/now", { headers: { origin } });
    assert.equal(headers.get("access-control-allow-credentials"), null);
    return headers.get("access-control-allow-origin");
  };
  assert.equal(await allowed("https://studio.example"), "https://studio.example");
  assert.equal(await allowed("https://evil.example"), null);
  const preflight = await fetch("/v1/inference_tasks", {
    method: "OPTIONS",
    headers: { origin: "https://studio.example", "access-control-request-method": "POST" },
  });
  assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /Authorization/);
});
