import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Metrics, silentLogger } from "@hydrogen/telemetry";
import { type NodeCommand, startApi } from "./api.ts";

async function start(t: TestContext, healthy = true) {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-api-"));
  const tokenPath = join(dir, "api-token");
  const received: NodeCommand[] = [];
  const metrics = new Metrics();
  metrics.counter("node_tasks_total", "Tasks").inc();
  const api = await startApi(
    { host: "127.0.0.1", port: 0, tokenPath },
    {
      log: silentLogger,
      metrics,
      status: () => ({ earnedWei: 10n ** 20n }),
      healthy: () => healthy,
      command: async (command) => void received.push(command),
    },
  );
  t.after(async () => {
    await api.close();
    rmSync(dir, { recursive: true });
  });
  return { api, received, tokenPath, token: readFileSync(tokenPath, "utf8") };
}

test("tells status and metrics to whoever asks, money as text", async (t) => {
  const { api } = await start(t);
  const status = await (await fetch(`${api.url}/v1/status`)).json();
  assert.deepEqual(status, { message: "success", data: { earnedWei: "100000000000000000000" } });
  assert.match(await (await fetch(`${api.url}/metrics`)).text(), /^node_tasks_total 1$/m);
  assert.equal((await fetch(`${api.url}/health`)).status, 200);
  assert.equal((await fetch(`${api.url}/v1/nothing`)).status, 404);
});

test("is unhealthy without the chain", async (t) => {
  const { api } = await start(t, false);
  assert.equal((await fetch(`${api.url}/health`)).status, 503);
});

test("takes commands only with the token of the data directory, which only its owner may read", async (t) => {
  const { api, received, token, tokenPath } = await start(t);
  const post = (authorization?: string) =>
    fetch(`${api.url}/v1/pause`, { method: "POST", headers: authorization ? { authorization } : {} });
  assert.equal((await post()).status, 401);
  assert.equal((await post(`Bearer ${"0".repeat(token.length)}`)).status, 401);
  assert.deepEqual(received, []);
  assert.equal((await post(`Bearer ${token}`)).status, 202);
  assert.deepEqual(received, ["pause"]);
  assert.equal(statSync(tokenPath).mode & 0o777, 0o600);
});

test("refuses a page that rebound its own name to this machine", async (t) => {
  const { api } = await start(t);
  const { port } = new URL(api.url);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    request(
      { host: "127.0.0.1", port, path: "/v1/status", headers: { host: "evil.example" } },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    )
      .on("error", reject)
      .end();
  });
  assert.equal(status, 403);
});
