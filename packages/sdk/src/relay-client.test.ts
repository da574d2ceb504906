import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { createKeySigner, keccak256, verifyAuthorization } from "@hydrogen/protocol";
import { type Clock, nowSec, systemClock } from "@hydrogen/std";
import { createRelayClient, type RelayClientOptions } from "./relay-client.ts";

const signer = createKeySigner(`0x${"1".repeat(64)}`);
const taskContract = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const chainId = 31_337;

type Seen = { method: string; path: string; headers: IncomingMessage["headers"]; body: Uint8Array };
type Answer = { status?: number; headers?: Record<string, string>; body: string | Uint8Array };

/** A server that answers what the test says, and the requests it got. */
async function startServer(t: TestContext, answer: (seen: Seen) => Answer | undefined) {
  const requests: Seen[] = [];
  const server = createServer(async (request, response) => {
    const { method = "", url = "", headers } = request;
    const seen = { method, path: url, headers, body: new Uint8Array(await buffer(request)) };
    requests.push(seen);
    const said = answer(seen);
    if (said === undefined) return;
    response.writeHead(said.status ?? 200, said.headers).end(said.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = (options: Partial<RelayClientOptions> = {}, clock: Clock = systemClock) =>
    createRelayClient({ url, chainId, taskContract, ...options }, { signer, clock });
  return { url, requests, client };
}

const success = (data?: unknown): Answer => ({ body: JSON.stringify({ message: "success", data }) });

test("signs exactly what it sends, with a nonce of its own each time", async (t) => {
  const { url, requests, client } = await startServer(t, () => success([]));
  await client().uploadArgs(7n, "args – ü");
  await client().getProgress(7n);
  await client().uploadResults(7n, [Uint8Array.of(1, 13, 10), Uint8Array.of(2)]);
  await client({ url: `${url}/` }).postProgress(7n, { round: 1, stage: "loading", step: 0, steps: 4 });
  const nonces = requests.map(({ method, path, headers, body }) => {
    const domain = { chainId, verifyingContract: taskContract } as const;
    const request = { relay: url, method, path };
    const seen = verifyAuthorization(headers.authorization!, domain, request, nowSec(systemClock));
    assert.equal(seen.address, signer.address);
    assert.equal(seen.bodyHash, keccak256(body));
    return seen.nonce;
  });
  assert.equal(new Set(nonces).size, 4);
  assert.deepEqual(
    requests.map(({ method, path }) => `${method} ${path}`),
    [
      "POST /v1/inference_tasks",
      "GET /v1/inference_tasks/7/progress",
      "POST /v1/inference_tasks/7/results",
      "POST /v1/inference_tasks/7/progress",
    ],
  );
  assert.deepEqual(JSON.parse(Buffer.from(requests[0]!.body).toString()), {
    task_id: 7,
    task_args: "args – ü",
  });
});

test("sends files as a form that others can read", async (t) => {
  const { requests, client } = await startServer(t, () => success());
  const files = [Uint8Array.of(1, 13, 10, 45, 45), new Uint8Array(0), Uint8Array.of(2)];
  await client().uploadResults(7n, files);
  const { headers, body } = requests[0]!;
  const form = await new Response(new Uint8Array(body), {
    headers: { "content-type": headers["content-type"]! },
  }).formData();
  const received = form.getAll("images") as File[];
  const bytes = await Promise.all(received.map(async (file) => new Uint8Array(await file.arrayBuffer())));
  assert.deepEqual(bytes, files);
});

test("asks what everybody may know without a signature", async (t) => {
  const { requests, client } = await startServer(t, ({ path }) =>
    success(path === "/v1/now" ? { now: 1_700_000_000 } : []),
  );
  assert.equal(await client().now(), 1_700_000_000);
  await client().nodesData(20, 10);
  assert.equal(requests[1]?.path, "/v1/network/nodes/data?start=20&total=10");
  assert.ok(requests.every(({ headers }) => headers.authorization === undefined));
});

test("rebuilds the relay's errors from problem details", async (t) => {
  const problem = {
    type: "about:blank",
    title: "Not Found",
    status: 404,
    detail: "The creator has not uploaded the task args yet (taskId: 7)",
    code: "RELAY_ARGS_NOT_UPLOADED",
    retryable: true,
    hint: "Wait.",
    facts: { taskId: 7 },
  };
  const { client } = await startServer(t, () => ({ status: 404, body: JSON.stringify(problem) }));
  await assert.rejects(client().getTask(7n), {
    name: "HydrogenError",
    code: "RELAY_ARGS_NOT_UPLOADED",
    message: problem.detail,
    retryable: true,
    hint: "Wait.",
    facts: { taskId: 7 },
  });
});

test("corrects a wrong clock by the relay's, once", async (t) => {
  const relayTimeSec = nowSec(systemClock);
  const slow: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() - 3_600_000 };
  const { requests, client } = await startServer(t, ({ method, path, headers }) => {
    try {
      const domain = { chainId, verifyingContract: taskContract } as const;
      const request = { relay: `http://${headers.host}`, method, path };
      verifyAuthorization(headers.authorization!, domain, request, relayTimeSec);
      return success([]);
    } catch {
      const facts = { relayTimeSec };
      const body = JSON.stringify({ code: "SIGNATURE_EXPIRED", retryable: false, facts });
      return { status: 401, body };
    }
  });
  const late = client({}, slow);
  assert.deepEqual(await late.getProgress(7n), []);
  assert.deepEqual(await late.getProgress(7n), []);
  assert.equal(requests.length, 3);
});

test("gives up if its clock is not what is wrong", async (t) => {
  const facts = { relayTimeSec: 5 };
  const { requests, client } = await startServer(t, () => ({
    status: 401,
    body: JSON.stringify({ code: "SIGNATURE_EXPIRED", retryable: false, facts }),
  }));
  await assert.rejects(client().getProgress(7n), { code: "SIGNATURE_EXPIRED" });
  assert.equal(requests.length, 2);
});

const strange: Record<string, Answer> = {
  "HTML with status 200": { body: "<html>" },
  "HTML with status 502": { status: 502, body: "<html>" },
  "JSON of another kind": { body: '{"result":1}' },
  null: { body: "null" },
};
for (const [what, answer] of Object.entries(strange)) {
  test(`says so when the answer is ${what}`, async (t) => {
    const { client } = await startServer(t, () => answer);
    await assert.rejects(client().getTask(7n), { code: "RELAY_ANSWER_INVALID", retryable: true });
  });
}

test("refuses a file that was damaged on the way", async (t) => {
  const file = Uint8Array.of(1, 2, 3);
  let damaged = false;
  const { client } = await startServer(t, () => ({
    headers: { etag: `"${keccak256(file)}"` },
    body: damaged ? Uint8Array.of(1, 2, 4) : file,
  }));
  assert.deepEqual(await client().getResult(7n, 0), file);
  damaged = true;
  await assert.rejects(client().getResult(7n, 0), { code: "RELAY_ANSWER_INVALID", retryable: true });
});

test("tells a relay that is away, one that is silent, and an abort apart", async (t) => {
  const { client } = await startServer(t, () => undefined);
  const away = client({ url: "http://127.0.0.1:1" });
  await assert.rejects(away.now(), { code: "RELAY_UNREACHABLE", retryable: true });
  await assert.rejects(client({ timeoutMs: 50 }).now(), { code: "RELAY_UNREACHABLE", retryable: true });
  const reason = new Error("enough");
  const controller = new AbortController();
  const waiting = client().getTask(7n, controller.signal);
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(client().getTask(7n, AbortSignal.abort(reason)), reason);
});
