import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { probeAbi } from "./testing/probe.ts";
import { alice, post, type RpcAnswer, startTestChain } from "./testing/test-chain.ts";

const blockNumber = { jsonrpc: "2.0", id: 1, method: "eth_blockNumber", params: [] };

/** fetch() may not set Host or Origin. */
function raw(
  url: string,
  headers: Record<string, string>,
  method = "POST",
  body = JSON.stringify(blockNumber),
) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }>((resolve, reject) => {
    const sent = request(
      url,
      { method, headers: { "content-type": "application/json", ...headers } },
      (response) => {
        response.resume();
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers }));
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

test("answers nonsense with the right JSON-RPC error and carries on", async (t) => {
  const { node, rpc } = await startTestChain(t);
  const codeOf = async (body: string) => ((await post(node.url, body)) as RpcAnswer).error?.code;
  assert.equal(await codeOf("{"), -32700);
  assert.equal(await codeOf(""), -32700);
  assert.equal(await codeOf("[]"), -32600);
  assert.equal(await codeOf("1"), -32600);
  assert.equal(await codeOf("null"), -32600);
  assert.equal(await codeOf(JSON.stringify({ id: 1, method: "eth_blockNumber" })), -32600);
  assert.equal(await codeOf(JSON.stringify({ ...blockNumber, id: {} })), -32600);
  assert.equal(await codeOf(JSON.stringify({ ...blockNumber, params: { a: 1 } })), -32600);
  assert.equal(await codeOf(`${"[".repeat(50_000)}${"]".repeat(50_000)}`), undefined);
  for (const method of ["eth_unknown", "constructor", "__proto__", "toString", "evm_mine", "eth_subscribe"]) {
    assert.equal((await rpc(method)).error?.code, -32601, method);
  }
  assert.equal((await rpc("eth_blockNumber")).result, "0x0");
});

test("names the parameter that is wrong", async (t) => {
  const { rpc } = await startTestChain(t);
  for (const [method, params] of [
    ["eth_getBalance", []],
    ["eth_getBalance", ["0x12", "latest"]],
    ["eth_getBalance", [alice.address, "yesterday"]],
    ["eth_getBlockByNumber", ["-1"]],
    ["eth_getBlockByHash", ["0x00"]],
    ["eth_getStorageAt", [alice.address, `0x1${"00".repeat(32)}`]],
    ["eth_sendRawTransaction", [12]],
    ["eth_sendRawTransaction", ["0x123"]],
    ["eth_call", [[]]],
    ["eth_call", [{ to: alice.address, value: "much" }]],
    ["eth_call", [{ to: alice.address }, "latest", { [alice.address]: { state: {} } }]],
    ["eth_getLogs", [{ topics: [1] }]],
    ["eth_getLogs", [{ topics: [null, null, null, null, null] }]],
    ["eth_getLogs", [{ fromBlock: "0x5", toBlock: "0x1" }]],
    ["eth_getLogs", [{ address: Array(1_001).fill(alice.address) }]],
    ["eth_feeHistory", ["0x1", "latest", Array(101).fill(1)]],
  ] as const) {
    const { error } = await rpc(method, [...params]);
    assert.equal(
      error?.code,
      -32602,
      `${method} ${JSON.stringify(params).slice(0, 80)}: ${JSON.stringify(error)}`,
    );
  }
});

test("answers a batch in order, mixed with errors and notifications, and limits its size", async (t) => {
  const { node } = await startTestChain(t);
  const { id: _, ...notification } = blockNumber;
  const batch = [blockNumber, notification, { nonsense: true }, { ...blockNumber, id: "b", method: "nope" }];
  const answers = (await post(node.url, JSON.stringify(batch))) as (RpcAnswer & { id: unknown })[];
  assert.deepEqual(
    answers.map(({ id, error }) => [id, error?.code]),
    [
      [1, undefined],
      [null, -32600],
      ["b", -32601],
    ],
  );
  const many = (await post(node.url, JSON.stringify(Array(1_001).fill(blockNumber)))) as RpcAnswer;
  assert.equal(many.error?.code, -32600);
  assert.equal(
    ((await post(node.url, JSON.stringify(Array(1_000).fill(blockNumber)))) as unknown[]).length,
    1_000,
  );
  assert.equal((await raw(node.url, {}, "POST", JSON.stringify(notification))).status, 204);
});

test("refuses a body that is too long, announced or not", async (t) => {
  const { node, rpc } = await startTestChain(t);
  const announced = await fetch(node.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: Buffer.alloc(6 * 2 ** 20, 0x20),
  });
  assert.equal(announced.status, 413);
  const { port } = new URL(node.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(
    `POST / HTTP/1.1\r\nhost: localhost:${port}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
  const feeding = setInterval(() => socket.write(chunk.repeat(8)), 1);
  const answer = await new Promise<string>((resolve) =>
    socket.once("data", (data) => resolve(data.toString())),
  );
  clearInterval(feeding);
  socket.destroy();
  assert.match(answer, /^HTTP\/1\.1 413 /);
  assert.equal((await rpc("eth_blockNumber")).result, "0x0");
});

test("is deaf to web pages, unless their origin is allowed", async (t) => {
  const { node } = await startTestChain(t, {
    allowedOrigins: ["http://localhost:3000"],
    allowedHosts: ["chain"],
  });
  const { port } = new URL(node.url);
  assert.equal((await raw(node.url, { origin: "https://evil.example" })).status, 403);
  assert.equal((await raw(node.url, { origin: "null" })).status, 403);
  assert.equal((await raw(node.url, { host: `evil.example:${port}` })).status, 403);
  assert.equal((await raw(node.url, { "content-type": "text/plain" })).status, 415);
  assert.equal((await raw(node.url, {}, "GET", "")).status, 405);
  assert.equal((await raw(node.url, { host: `chain:${port}` })).status, 200);
  assert.equal((await raw(node.url, { host: `localhost:${port}` })).status, 200);
  const allowed = await raw(node.url, { origin: "http://localhost:3000" });
  assert.equal(allowed.status, 200);
  assert.equal(allowed.headers["access-control-allow-origin"], "http://localhost:3000");
  const preflight = await raw(node.url, { origin: "http://localhost:3000" }, "OPTIONS", "");
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers["access-control-allow-headers"], "content-type");
  assert.equal((await raw(node.url, { origin: "https://evil.example" }, "OPTIONS", "")).status, 403);
});

test("refuses WebSockets of foreign pages and survives broken ones", async (t) => {
  const { node, rpc } = await startTestChain(t);
  const upgrade = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const sent = request(node.url, {
        headers: {
          connection: "Upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
          ...headers,
        },
      });
      sent.on("response", (response) => resolve(response.statusCode!));
      sent.on("upgrade", (response, socket) => {
        socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
        socket.on("error", () => undefined);
        socket.resume();
        socket.on("close", () => resolve(response.statusCode!));
      });
      sent.on("error", reject);
      sent.end();
    });
  assert.equal(await upgrade({ origin: "https://evil.example" }), 403);
  assert.equal(await upgrade({ host: "evil.example" }), 403);
  assert.equal(await upgrade({}), 101);
  const socket = new WebSocket(node.wsUrl);
  const answer = await new Promise<string>((resolve) => {
    socket.onmessage = ({ data }) => resolve(String(data));
    socket.onopen = () => socket.send("{");
  });
  assert.equal(JSON.parse(answer).error.code, -32700);
  socket.close();
  assert.equal((await rpc("eth_blockNumber")).result, "0x0");
});

test("ends a call that would run for ever when its gas is gone", async (t) => {
  const { client, rpc, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const call = client.simulateContract({
    address,
    abi: probeAbi,
    functionName: "burn",
    account: alice,
    gas: 3_000_000n,
  });
  await assert.rejects(call, /out of gas/);
  assert.equal((await rpc("eth_blockNumber")).result, "0x1");
});
