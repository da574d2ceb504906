import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Metrics, silentLogger } from "@hydrogen/telemetry";
import { type NodeCommand, startApi } from "./api.ts";
import { readOrCreateApiToken } from "./api-token.ts";

async function start(
  t: TestContext,
  { healthy = true, left }: { healthy?: boolean; left?: string | undefined } = {},
) {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-api-"));
  const tokenPath = join(dir, "api-token");
  if (left !== undefined) writeFileSync(tokenPath, left);
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
  const { api } = await start(t, { healthy: false });
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

for (const [says, left] of [
  ["nothing", ""],
  ["a part", "0123abcd"],
])
  test(`makes a new token when a crash left ${says} of one`, async (t) => {
    const { api, received, token } = await start(t, { left });
    assert.match(token, /^[0-9a-f]{64}$/);
    for (const headers of [{}, { authorization: "Bearer " }, { authorization: `Bearer ${left}` }])
      assert.equal((await fetch(`${api.url}/v1/quit`, { method: "POST", headers })).status, 401);
    assert.deepEqual(received, []);
  });

test("keeps its token across restarts", async (t) => {
  const { tokenPath, token } = await start(t);
  assert.equal(readOrCreateApiToken(tokenPath), token);
});

test("says which address is taken", async (t) => {
  const { api, tokenPath } = await start(t);
  const port = Number(new URL(api.url).port);
  await assert.rejects(startApi({ host: "127.0.0.1", port, tokenPath }, {} as never), {
    code: "NODE_LISTEN_FAILED",
    facts: { host: "127.0.0.1", port },
  });
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
