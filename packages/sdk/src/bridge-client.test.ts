import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createBridgeClient } from "./bridge-client.ts";

/** A bridge reduced to one handler, over real HTTP. */
async function bridge(t: TestContext, handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const event = (status: string) => `event: task\ndata: ${JSON.stringify({ id: "a", status, rounds: [] })}\n\n`;

test("follows a task through a torn stream, in pieces of any size, to its end", async (t) => {
  let connections = 0;
  const url = await bridge(t, (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (++connections === 1) {
      const text = `: hello\n\n${event("executing")}`;
      for (const character of text) response.write(character);
      response.write("data: {half", () => response.destroy());
    } else response.end(event("done"));
  });
  const seen: string[] = [];
  for await (const task of createBridgeClient({ url }).follow("a")) seen.push(task.status);
  assert.deepEqual(seen, ["executing", "done"]);
  assert.equal(connections, 2);
});

test("a problem of the bridge becomes the same coded error here", async (t) => {
  const url = await bridge(t, (_request, response) => {
    response.writeHead(400, { "content-type": "application/problem+json" });
    response.end(
      JSON.stringify({
        code: "ARGS_INVALID",
        detail: "steps",
        retryable: false,
        hint: "fix it",
        facts: { path: "x" },
      }),
    );
  });
  await assert.rejects(createBridgeClient({ url }).createTask({ taskType: 0, taskArgs: "{}" }), {
    code: "ARGS_INVALID",
    message: "steps",
    hint: "fix it",
    retryable: false,
  });
});

test("says so when nobody answers, and when what answers is no bridge", async (t) => {
  const nobody = createBridgeClient({ url: "http://127.0.0.1:1" });
  await assert.rejects(nobody.models(), { code: "BRIDGE_UNREACHABLE", retryable: true });
  const url = await bridge(t, (_request, response) => void response.writeHead(502).end("<html>"));
  await assert.rejects(createBridgeClient({ url }).models(), { code: "BRIDGE_ANSWER_INVALID" });
});

test("stops following when the signal aborts", async (t) => {
  const url = await bridge(t, (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event("executing"));
  });
  const controller = new AbortController();
  await assert.rejects(
    async () => {
      for await (const _ of createBridgeClient({ url }).follow("a", controller.signal)) controller.abort();
    },
    { name: "AbortError" },
  );
});
