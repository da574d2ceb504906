import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { imagesResult } from "@hydrogen/protocol";
import { bytesToHex, nowSec, systemClock, utf8Encode } from "@hydrogen/std";
import { argsText, type Fixture, people, picture, startFixture } from "./testing/relay-fixture.ts";

const { creator, nodes, stranger } = people;
const taskPath = "/v1/inference_tasks/1";
const json = { "content-type": "application/json" };

/** The status and code of an answer, which must be problem details. */
async function problem(answer: Promise<Response>): Promise<string> {
  const response = await answer;
  const body = await response.text();
  assert.equal(response.headers.get("content-type"), "application/problem+json", body);
  const { status, code, title, type, detail } = JSON.parse(body);
  assert.equal(status, response.status);
  assert.ok([code, title, type, detail].every((part) => typeof part === "string" && part !== ""));
  return `${status} ${code}`;
}

/** Everything that is on the relay's disk, temporary files too. */
function filesOf({ dataDir }: Fixture): string[] {
  return readdirSync(join(dataDir, "blobs"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

function multipart(files: readonly Uint8Array[], fields: Record<string, string> = {}, fieldsLast = false) {
  const field = Object.entries(fields).map(([name, value]) =>
    utf8Encode(`--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`),
  );
  const file = files.flatMap((bytes) => [
    utf8Encode(`--b\r\nContent-Disposition: form-data; name="images"; filename="../../x.png"\r\n\r\n`),
    bytes,
    utf8Encode("\r\n"),
  ]);
  const parts = fieldsLast ? [...file, ...field] : [...field, ...file];
  return new Uint8Array(Buffer.concat([...parts, utf8Encode("--b--\r\n")]));
}
const form = { "content-type": "multipart/form-data; boundary=b" };

test("refuses requests that are unsigned, or signed for something else", async (t) => {
  const fixture = await startFixture(t);
  const { fetch, authorize, task, relay } = fixture;
  await task.drawn(1n);
  const withHeader = (authorization: string) => problem(fetch(taskPath, { headers: { authorization } }));
  const now = nowSec(systemClock);

  assert.equal(await problem(fetch(taskPath)), "401 RELAY_SIGNATURE_MISSING");
  assert.equal(await withHeader("Bearer abc"), "401 AUTHORIZATION_MALFORMED");
  assert.equal(await withHeader("Hydrogen "), "401 AUTHORIZATION_MALFORMED");
  const good = await authorize(creator, { path: taskPath });
  assert.equal(await withHeader(good), "404 RELAY_ARGS_NOT_UPLOADED");
  const others = {
    "another path": { path: "/v1/inference_tasks/2" },
    "another query": { path: `${taskPath}?a=1` },
    "another method": { path: taskPath, method: "POST" as const },
    "another relay": { path: taskPath, relay: "http://127.0.0.1:1" },
    "another chain": { path: taskPath, chainId: 1 },
  };
  for (const [what, signed] of Object.entries(others)) {
    assert.equal(await withHeader(await authorize(creator, signed)), "401 SIGNATURE_INVALID", what);
  }
  const renamed = (await authorize(stranger, { path: taskPath })).replace(stranger.address, creator.address);
  assert.equal(await withHeader(renamed), "401 SIGNATURE_INVALID");
  for (const expirySec of [now - 5, now + 1_000]) {
    const header = await authorize(creator, { path: taskPath, expirySec });
    const response = await fetch(taskPath, { headers: { authorization: header } });
    const { code, facts } = await response.json();
    assert.equal(code, "SIGNATURE_EXPIRED");
    assert.ok(Math.abs(facts.relayTimeSec - now) < 10);
  }
  assert.equal(relay.url, new URL(relay.url).origin);
});

test("refuses a request that was sent before, also after a restart", async (t) => {
  const fixture = await startFixture(t);
  const { fetch, authorize, task } = fixture;
  await task.drawn(1n);
  const authorization = await authorize(creator, { path: taskPath });
  const send = () => problem(fetch(taskPath, { headers: { authorization } }));
  assert.equal(await send(), "404 RELAY_ARGS_NOT_UPLOADED");
  assert.equal(await send(), "409 RELAY_NONCE_USED");
  await fixture.restart();
  assert.equal(await send(), "409 RELAY_NONCE_USED");
});

test("refuses old, future and malformed signatures of the seeds' scheme, and all if it is switched off", async (t) => {
  const fixture = await startFixture(t);
  const { fetch, task, seedsFields } = fixture;
  await task.drawn(1n);
  const { timestamp, signature } = await seedsFields(creator, { task_id: 1 });
  const get = (time: unknown, sig: string) =>
    problem(fetch(`${taskPath}?timestamp=${time}&signature=${sig}`));
  assert.equal(await get(timestamp, signature), "404 RELAY_ARGS_NOT_UPLOADED");
  assert.equal(await get(timestamp - 61, signature), "401 SIGNATURE_EXPIRED");
  assert.equal(await get(timestamp + 65, signature), "401 SIGNATURE_EXPIRED");
  assert.equal(await get("soon", signature), "401 SIGNATURE_EXPIRED");
  for (const bad of ["0", "0x", signature.slice(0, -2), `${signature.slice(0, -2)}1b`, "x".repeat(132)]) {
    assert.equal(await get(timestamp, bad), "401 SIGNATURE_INVALID");
  }
  assert.equal(await get(timestamp - 1, signature), "403 RELAY_SIGNER_NOT_ALLOWED");
  const strict = await startFixture(t, { config: { seedsSignatures: false }, chain: fixture.chain });
  const query = `timestamp=${timestamp}&signature=${signature}`;
  assert.equal(await problem(strict.fetch(`${taskPath}?${query}`)), "401 RELAY_SIGNATURE_MISSING");
});

test("lets nobody do what is another's", async (t) => {
  const { client, task } = await startFixture(t);
  await task.succeeded(1n, [picture(1)]);
  const forbidden = { code: "RELAY_SIGNER_NOT_ALLOWED", retryable: false };
  const progress = { round: 0, stage: "x", step: 0, steps: 1 };
  for (const person of [...nodes, stranger]) {
    await assert.rejects(client(person).uploadArgs(1n, argsText), forbidden);
    await assert.rejects(client(person).getProgress(1n), forbidden);
    await assert.rejects(client(person).getResult(1n, 0), forbidden);
  }
  for (const person of [creator, nodes[1], nodes[2], stranger]) {
    await assert.rejects(client(person).postProgress(1n, progress), forbidden);
  }
  for (const person of [creator, nodes[2], stranger]) {
    await assert.rejects(client(person).uploadResults(1n, [picture(1)]), forbidden);
  }
  await assert.rejects(client(stranger).getTask(1n), forbidden);
});

test("gives nobody the args of another creator's task with the same hash", async (t) => {
  const { client, task, chain } = await startFixture(t);
  await task.pending(1n);
  await client(creator).uploadArgs(1n, argsText);
  const copied = { ...(await client(creator).getTask(1n)) };
  await chain.emit("TaskPending", {
    taskId: 2n,
    taskType: 0n,
    creator: stranger.address,
    taskHash: copied.task_hash,
    dataHash: copied.data_hash,
    vramLimit: 8n,
    feeWei: 1n,
  });
  await assert.rejects(client(stranger).getTask(2n), { code: "RELAY_ARGS_NOT_UPLOADED" });
});

test("refuses args that are not those of the task, or follow no schema", async (t) => {
  const { client, task } = await startFixture(t);
  await task.pending(1n);
  const wrong = { code: "RELAY_TASK_HASH_MISMATCH", retryable: false };
  await assert.rejects(client(creator).uploadArgs(1n, `${argsText} `), wrong);
  const bad = { "no args": "{}", "no JSON": "apple", "a list": "[]" };
  let taskId = 2n;
  for (const args of Object.values(bad)) {
    await task.pending(taskId, args);
    await assert.rejects(client(creator).uploadArgs(taskId, args), {
      code: /^ARGS_/,
      failureClass: "args_invalid",
    });
    taskId++;
  }
});

test("refuses bodies that are not the signed ones, and keeps nothing of them", async (t) => {
  const fixture = await startFixture(t);
  const { fetch, authorize, task } = fixture;
  await task.succeeded(1n, [picture(1)]);
  const signedArgs = utf8Encode(JSON.stringify({ task_id: 1, task_args: argsText }));
  const post = async (
    path: string,
    headers: Record<string, string>,
    signed: Uint8Array,
    sent: Uint8Array,
  ) => {
    const authorization = await authorize(path.endsWith("results") ? nodes[0] : creator, {
      method: "POST",
      path,
      body: signed,
    });
    return problem(
      fetch(path, { method: "POST", headers: { ...headers, authorization }, body: new Uint8Array(sent) }),
    );
  };
  const otherArgs = utf8Encode(JSON.stringify({ task_id: 1, task_args: `${argsText} ` }));
  assert.equal(await post("/v1/inference_tasks", json, signedArgs, otherArgs), "401 RELAY_BODY_MISMATCH");
  const results = `${taskPath}/results`;
  const good = multipart([picture(1)]);
  assert.equal(
    await post(results, form, good, new Uint8Array([...good, 10])),
    "401 RELAY_BODY_MISMATCH",
    "a body with more behind its end",
  );
  const getWithBody = await authorize(creator, { path: taskPath, body: utf8Encode("x") });
  assert.equal(
    await problem(fetch(taskPath, { headers: { authorization: getWithBody } })),
    "401 RELAY_BODY_MISMATCH",
  );
  assert.deepEqual(filesOf(fixture), []);
});

test("knows who uploads before it stores a byte", async (t) => {
  const fixture = await startFixture(t);
  const { task, relay, seedsFields } = fixture;
  await task.succeeded(1n, [picture(1)]);
  const { timestamp, signature } = await seedsFields(stranger, { task_id: 1 });
  const beginning = multipart([picture(1)], { timestamp: String(timestamp), signature });
  // The body never ends: the answer can only come from what was sent so far.
  const answer = await new Promise<string>((resolve, reject) => {
    const upload = request(
      `${relay.url}${taskPath}/results`,
      { method: "POST", headers: form },
      (response) => {
        text(response)
          .then(resolve, reject)
          .finally(() => upload.destroy());
      },
    );
    upload.on("error", reject);
    upload.write(beginning.subarray(0, beginning.length - 20));
  });
  assert.equal(JSON.parse(answer).code, "RELAY_SIGNER_NOT_ALLOWED");
  assert.deepEqual(filesOf(fixture), []);

  const late = multipart([picture(1)], { timestamp: String(timestamp), signature }, true);
  assert.equal(
    await problem(fixture.fetch(`${taskPath}/results`, { method: "POST", headers: form, body: late })),
    "401 RELAY_SIGNATURE_MISSING",
  );
  assert.deepEqual(filesOf(fixture), []);
});

test("refuses bodies, files and results that are too large", async (t) => {
  const limits = { maxArgsBytes: 2_000, maxFileBytes: 4_000, maxResultBytes: 10_000, maxFiles: 2 };
  const fixture = await startFixture(t, { config: { limits } });
  const { task, client, fetch } = fixture;
  const files = [picture(1), picture(2), picture(3)];
  await task.succeeded(1n, files);
  const node = client(nodes[0]);
  await assert.rejects(node.uploadResults(1n, files), { code: "RELAY_FILES_INVALID" });
  await assert.rejects(node.uploadResults(1n, [new Uint8Array(4_001)]), { code: "RELAY_FILE_TOO_LARGE" });
  await assert.rejects(node.uploadResults(1n, [new Uint8Array(10_000)]), { code: "RELAY_BODY_TOO_LARGE" });
  await assert.rejects(node.uploadResults(1n, []), { code: "RELAY_FILES_INVALID" });
  const long = JSON.stringify({ ...JSON.parse(argsText), prompt: "x".repeat(2_000) });
  await task.pending(2n, long);
  await assert.rejects(client(creator).uploadArgs(2n, long), { code: "RELAY_BODY_TOO_LARGE" });
  await assert.rejects(client(creator).uploadArgs(2n, "x".repeat(20_000)), { code: "RELAY_BODY_TOO_LARGE" });
  // Without a length in advance, it is noticed on the way.
  const endless = new ReadableStream<Uint8Array>({ pull: (c) => c.enqueue(new Uint8Array(1_000)) });
  const init = { method: "POST", headers: json, body: endless, duplex: "half" } as RequestInit;
  assert.equal(await problem(fetch("/v1/inference_tasks", init)), "413 RELAY_BODY_TOO_LARGE");
  assert.deepEqual(filesOf(fixture), []);
});

test("holds only so much of what strangers send at once", async (t) => {
  const limits = { maxArgsBytes: 5_000, maxBufferedBytes: 8_000 };
  const { client, task, relay, authorize } = await startFixture(t, { config: { limits } });
  await task.pending(1n);
  const path = "/v1/inference_tasks";
  const authorization = await authorize(stranger, { method: "POST", path, body: new Uint8Array(9_000) });
  const hold = request(relay.url + path, { method: "POST", headers: { ...json, authorization } });
  hold.on("error", () => undefined);
  hold.write(new Uint8Array(7_900));
  const busy = { code: "RELAY_BUSY", retryable: true };
  await waitUntil(() =>
    client(creator)
      .uploadArgs(1n, argsText)
      .then(
        () => false,
        (error) => error.code === busy.code,
      ),
  );
  await assert.rejects(client(creator).uploadArgs(1n, argsText), busy);
  hold.destroy();
  await waitUntil(() =>
    client(creator)
      .uploadArgs(1n, argsText)
      .then(
        () => true,
        () => false,
      ),
  );
});

/** A PNG of that size whose pixels inflate to `rawBytes` zeros. */
function bomb(width: number, height: number, rawBytes: number): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const whole = Buffer.alloc(body.length + 8);
    whole.writeUInt32BE(data.length, 0);
    body.copy(whole, 4);
    whole.writeUInt32BE(crc32(body), body.length + 4);
    return whole;
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return new Uint8Array(
    Buffer.concat([
      Buffer.from("89504e470d0a1a0a", "hex"),
      chunk("IHDR", header),
      chunk("IDAT", deflateSync(Buffer.alloc(rawBytes))),
      chunk("IEND", Buffer.alloc(0)),
    ]),
  );
}

test("refuses files that are not what the node revealed, even where the node stands for them", async (t) => {
  const fixture = await startFixture(t);
  const { task, client } = fixture;
  const [a, b] = [picture(1), picture(2)];
  const result = bytesToHex(imagesResult([a, b]));
  await task.succeeded(1n, [a, b]);
  const node = client(nodes[0]);
  const mismatch = { code: "RELAY_FILES_MISMATCH", retryable: false };
  await assert.rejects(node.uploadResults(1n, [b, a]), mismatch);
  await assert.rejects(node.uploadResults(1n, [a]), mismatch);
  await assert.rejects(node.uploadResults(1n, [a, b, b]), mismatch);
  await assert.rejects(node.uploadResults(1n, [a, picture(3)]), mismatch);

  // The digest is that of the reveal, but the pictures are not what was agreed on.
  await task.succeeded(2n, [picture(3), b], result);
  await assert.rejects(node.uploadResults(2n, [picture(3), b]), mismatch);
  await task.succeeded(3n, [a], result);
  await assert.rejects(node.uploadResults(3n, [a]), mismatch);
  const phash = "0x0123456789abcdef";
  const files = {
    "no picture": [utf8Encode("<svg/>"), /^IMAGE_INVALID$/],
    "a picture cut short": [a.subarray(0, a.length - 20), /^IMAGE_INVALID$/],
    "a picture of 3.6 gigapixels": [bomb(60_000, 60_000, 1_000), /^IMAGE_TOO_LARGE$|^RELAY_FILES_INVALID$/],
    "a picture of 9 megapixels": [bomb(3_000, 3_000, 1_000), /^RELAY_FILES_INVALID$/],
    "a small picture that inflates to 5 megabytes": [bomb(8, 8, 5_000_000), /^IMAGE_INVALID$/],
  } as const;
  let taskId = 4n;
  for (const [what, [file, code]] of Object.entries(files)) {
    await task.succeeded(taskId, [file], phash);
    await assert.rejects(node.uploadResults(taskId, [file]), { code }, what);
    taskId++;
  }
  assert.deepEqual(filesOf(fixture), []);
});

test("answers odd paths and bodies with problems of the caller", async (t) => {
  const { fetch, authorize } = await startFixture(t);
  const ids = [
    "..",
    "%2e%2e",
    "..%2f..%2fetc",
    "..%5c..",
    "0",
    "-1",
    "01",
    "1e3",
    "1.5",
    "0x1",
    "9".repeat(40),
    "%00",
    "'--",
  ];
  for (const id of ids) {
    for (const path of [
      `/v1/inference_tasks/${id}`,
      `/v1/inference_tasks/1/results/${id === "0" ? "100" : id}`,
    ]) {
      const { pathname } = new URL(path, "http://relay");
      const authorization = await authorize(creator, { path: pathname });
      const answer = await problem(fetch(path, { headers: { authorization } }));
      assert.match(answer, /^40[04] RELAY_(REQUEST_INVALID|ROUTE_NOT_FOUND|TASK_NOT_FOUND)$/, path);
    }
  }
  const bodies = [
    "",
    "[]",
    "null",
    '"x"',
    "{",
    "\0",
    '{"task_id":"1"}',
    '{"task_id":1.5,"task_args":"x"}',
    "[".repeat(3_000),
  ];
  for (const body of bodies) {
    const path = "/v1/inference_tasks";
    const authorization = await authorize(creator, { method: "POST", path, body: utf8Encode(body) });
    const headers = { ...json, authorization };
    assert.equal(
      await problem(fetch(path, { method: "POST", headers, body })),
      "400 RELAY_REQUEST_INVALID",
      body,
    );
  }
  const send = async (path: string, headers: Record<string, string>, body: string) => {
    const authorization = await authorize(creator, { method: "POST", path, body: utf8Encode(body) });
    return problem(fetch(path, { method: "POST", headers: { ...headers, authorization }, body }));
  };
  assert.equal(
    await send("/v1/inference_tasks", { "content-type": "text/plain" }, "{}"),
    "415 RELAY_MEDIA_TYPE_UNSUPPORTED",
  );
  assert.equal(await send(`${taskPath}/results`, json, "{}"), "415 RELAY_MEDIA_TYPE_UNSUPPORTED");
  assert.equal(await problem(fetch("/v1/network/nodes/data?total=1000000")), "400 RELAY_REQUEST_INVALID");
  assert.equal(await problem(fetch("/etc/passwd")), "404 RELAY_ROUTE_NOT_FOUND");
});

test("leaves nothing of an upload that breaks off", async (t) => {
  const fixture = await startFixture(t);
  const { task, relay, authorize } = fixture;
  await task.succeeded(1n, [picture(1)]);
  const body = multipart([picture(1)]);
  const path = `${taskPath}/results`;
  const authorization = await authorize(nodes[0], { method: "POST", path, body });
  const headers = { ...form, authorization, "content-length": body.length };
  const upload = request(`${relay.url}${path}`, { method: "POST", headers });
  upload.on("error", () => undefined);
  upload.write(body.subarray(0, body.length - 10));
  await waitUntil(() => filesOf(fixture).length === 1);
  upload.destroy();
  await waitUntil(() => filesOf(fixture).length === 0);
  await fixture.client(nodes[0]).uploadResults(1n, [picture(1)]);
});

async function waitUntil(holds: () => boolean | Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  while (!(await holds())) await systemClock.sleep(10, signal);
}

test("slows down whoever asks too often, and says for how long", async (t) => {
  const { fetch, client, task } = await startFixture(t, {
    config: { limits: { perIp: { burst: 30, perSec: 0.01 }, perAddress: { burst: 3, perSec: 0.01 } } },
  });
  await task.pending(1n);
  for (let i = 0; i < 3; i++) await client(creator).getProgress(1n);
  await assert.rejects(client(creator).getProgress(1n), { code: "RELAY_RATE_LIMITED", retryable: true });
  await assert.rejects(client(nodes[0]).getProgress(1n), { code: "RELAY_SIGNER_NOT_ALLOWED" });
  const statuses = await Promise.all(Array.from({ length: 30 }, async () => (await fetch("/v1/now")).status));
  assert.ok(statuses.includes(429));
  const refused = await fetch("/v1/now");
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.equal(await problem(fetch("/v1/now")), "429 RELAY_RATE_LIMITED");
});
