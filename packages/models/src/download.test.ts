import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { PullProgress } from "./progress.ts";
import { type Fault, headersOf, safetensors, sha256 } from "./testing/hub.ts";
import { createBench } from "./testing/stores.ts";
import { checkManifest } from "./write-manifest.ts";

const { hub, newStore, newRepo, newAddress, pausesMs } = await createBench();

const kib = 1024;
const cut = { pieceBytes: 32 * kib, spanBytes: 64 * kib, connections: 4 };
const weights = safetensors(512 * kib, 5);
const path = "lora.safetensors";

/** Whatever a test does to the hub ends with it. */
async function withFault<Result>(fault: Fault, action: () => Promise<Result>): Promise<Result> {
  hub.fault = fault;
  hub.requests.length = 0;
  try {
    return await action();
  } finally {
    hub.fault = undefined;
  }
}

const rangesAsked = () =>
  hub.requests.filter(({ host }) => host === "files").map(({ headers }) => headers.range ?? "all");

/** Begins a response, and breaks the connection after so many bytes. */
function breakAfter(bytes: number, ...[, response, { body, start, end }]: Parameters<Fault>): true {
  const ranged = end - start < body.length;
  response.writeHead(ranged ? 206 : 200, headersOf(ranged, start, end, body.length));
  response.write(body.subarray(start, start + bytes), () => response.destroy());
  return true;
}

test("fetches a large file in ranges over several connections, never more than allowed", async () => {
  const id = newRepo({ files: { [path]: weights } });
  let open = 0;
  let most = 0;
  const arrivals: (() => void)[] = [];
  const model = await withFault(
    async (_request, response) => {
      most = Math.max(most, ++open);
      response.once("close", () => open--);
      // The first answers wait until as many requests are there as may be.
      if (arrivals.length < 4) {
        await new Promise<void>((resolve) => {
          arrivals.push(resolve);
          if (arrivals.length === 4) for (const go of arrivals) go();
        });
      }
      return false;
    },
    () => newStore(cut).store.pull(id),
  );
  assert.equal(most, 4);
  assert.equal(rangesAsked().length, Math.ceil(weights.length / cut.spanBytes));
  assert.deepEqual(await readFile(join(model.dir, path)), weights);
});

test("goes on where a connection broke, asking only for what is missing", async () => {
  const id = newRepo({ files: { [path]: weights } });
  let faults = 0;
  const model = await withFault(
    (...parts) => ++faults % 2 === 1 && breakAfter(50 * kib, ...parts),
    () => newStore({ ...cut, spanBytes: 2048 * kib }).store.pull(id),
  );
  assert.deepEqual(await readFile(join(model.dir, path)), weights);
  const [first, second] = rangesAsked();
  assert.equal(first, "all");
  const from = Number(/^bytes=(\d+)-/.exec(second!)?.[1]);
  assert.ok(from > 0 && from <= 50 * kib, second);
});

test("gives up on a server that never gets anywhere, pausing longer each time", async () => {
  const id = newRepo({ files: { [path]: weights } });
  pausesMs.length = 0;
  await withFault(
    (_request, response) => {
      response.destroy();
      return true;
    },
    () => assert.rejects(newStore({ attempts: 4 }).store.pull(id), { code: "MODEL_UNREACHABLE" }),
  );
  assert.deepEqual(pausesMs, [500, 1_000, 2_000]);
});

test("waits as long as a busy server asks", async () => {
  const id = newRepo({ files: { [path]: weights } });
  pausesMs.length = 0;
  let answers = 0;
  await withFault(
    (_request, response) => {
      if (answers++ > 0) return false;
      response.writeHead(429, { "retry-after": "7" }).end();
      return true;
    },
    () => newStore().store.pull(id),
  );
  assert.deepEqual(pausesMs, [7_000]);
});

/** Aborts a pull once some pieces have been recorded. */
async function pullSome(store: ReturnType<typeof newStore>["store"], ref: string): Promise<void> {
  const aborter = new AbortController();
  const reason = new Error("enough");
  let served = 0;
  await withFault(
    (...parts) => {
      if (served++ < 3) return false;
      aborter.abort(reason);
      return breakAfter(0, ...parts);
    },
    () => assert.rejects(store.pull(ref, { signal: aborter.signal }), reason),
  );
}

test("an aborted pull stops at once, and the next one fetches only the rest", async () => {
  const id = newRepo({ files: { [path]: weights } });
  const { store } = newStore({ ...cut, connections: 1 });
  await pullSome(store, id);
  const [partial] = await store.list();
  assert.equal(partial!.state, "partial");
  assert.equal(partial!.bytes, weights.length);
  hub.requests.length = 0;
  const seen: PullProgress[] = [];
  const model = await store.pull(id, { onProgress: (progress) => seen.push(progress) });
  assert.deepEqual(await readFile(join(model.dir, path)), weights);
  // Three spans had arrived.
  assert.equal(rangesAsked()[0], `bytes=${3 * cut.spanBytes}-${4 * cut.spanBytes - 1}`);
  assert.equal(seen.at(-1)!.doneBytes, weights.length);
  assert.ok(seen.every(({ doneBytes }) => doneBytes <= weights.length));
});

test("keeps what is still the same when the repository has moved on in between", async () => {
  const repo = { files: { "config.json": "{}", "diffusion_pytorch_model.safetensors": weights } };
  const id = newRepo(repo);
  const { store } = newStore({ ...cut, connections: 1 });
  await pullSome(store, id);
  repo.files["config.json"] = `{"new":1}`;
  hub.requests.length = 0;
  const model = await store.pull(id);
  assert.equal(model.files["config.json"], sha256(`{"new":1}`));
  assert.ok(rangesAsked().length < weights.length / cut.spanBytes);
  repo.files["config.json"] = `{"newer":1}`;
  assert.equal((await store.pull(id)).files["config.json"], sha256(`{"new":1}`));
});

test("drops what the repository no longer has", async () => {
  const repo: { files: Record<string, string | Buffer> } = {
    files: { "config.json": "{}", "diffusion_pytorch_model.safetensors": weights },
  };
  const id = newRepo(repo);
  const { store } = newStore({ ...cut, connections: 1 });
  await pullSome(store, id);
  delete repo.files["config.json"];
  await checkManifest((await store.pull(id)).dir);
});

test("a file without a hash that changed in between is fetched anew, never mixed", async () => {
  const address = newAddress(weights);
  const { store } = newStore({ ...cut, connections: 1 });
  await pullSome(store, address);
  const changed = safetensors(512 * kib, 6);
  hub.loose.get(new URL(address).pathname)!.body = changed;
  const model = await store.pull(address);
  assert.deepEqual(await readFile(join(model.dir, "model.safetensors")), changed);
});

test("a file without a hash that changes under way is fetched anew, never mixed", async () => {
  const address = newAddress(weights);
  const changed = safetensors(512 * kib, 7);
  let served = 0;
  const model = await withFault(
    () => {
      if (++served === 3) hub.loose.get(new URL(address).pathname)!.body = changed;
      return false;
    },
    () => newStore({ ...cut, connections: 1 }).store.pull(address),
  );
  assert.deepEqual(await readFile(join(model.dir, "model.safetensors")), changed);
  let version = 10;
  await withFault(
    () => {
      hub.loose.get(new URL(address).pathname)!.body = safetensors(512 * kib, version++);
      return false;
    },
    () => assert.rejects(newStore(cut).store.pull(address), { code: "MODEL_CHANGED" }),
  );
});

test("reads from a server without ranges in one go, again from the start if it breaks", async () => {
  const address = newAddress(weights);
  let served = 0;
  const seen: PullProgress[] = [];
  const model = await withFault(
    (_request, response, { body }) => {
      response.writeHead(200, { "content-length": body.length });
      if (++served === 4) response.write(body.subarray(0, 100 * kib), () => response.destroy());
      else response.end(body);
      return true;
    },
    () => newStore(cut).store.pull(address, { onProgress: (progress) => seen.push(progress) }),
  );
  assert.deepEqual(await readFile(join(model.dir, "model.safetensors")), weights);
  assert.equal(seen.at(-1)!.doneBytes, weights.length);
});

test("what was spoilt on the disk in between is fetched again", async () => {
  const id = newRepo({ files: { [path]: weights } });
  const { dir, store } = newStore({ ...cut, connections: 1 });
  await pullSome(store, id);
  const { open } = await import("node:fs/promises");
  const part = await open(join(dir, ".incoming", id.toLowerCase().replace("/", "--"), `${path}.part`), "r+");
  await part.write("spoilt", 1_000);
  await part.close();
  const model = await store.pull(id);
  assert.deepEqual(await readFile(join(model.dir, path)), weights);
});

test("refuses wrong bytes, more bytes, other ranges and other encodings than were asked for", async () => {
  const id = newRepo({ files: { [path]: weights } });
  const answers: [string, Fault][] = [
    [
      "MODEL_HASH_MISMATCH",
      (_request, response, { body, start, end }) => {
        response.writeHead(206, headersOf(true, start, end, body.length));
        response.end(Buffer.alloc(end - start, 1));
        return true;
      },
    ],
    [
      "MODEL_SERVER_INVALID",
      (_request, response, { body, start, end }) => {
        response.writeHead(206, { "content-range": `bytes ${start}-${end - 1}/${body.length}` });
        response.end(Buffer.alloc(end - start + 1));
        return true;
      },
    ],
    [
      "MODEL_SERVER_INVALID",
      (_request, response, { body, start, end }) => {
        response.writeHead(206, headersOf(true, start + 1, end, body.length));
        response.end(body.subarray(start + 1, end));
        return true;
      },
    ],
    [
      "MODEL_SERVER_INVALID",
      (_request, response, { body, start, end }) => {
        response.writeHead(206, headersOf(true, start, end, body.length + 1));
        response.end(body.subarray(start, end));
        return true;
      },
    ],
    [
      "MODEL_SERVER_INVALID",
      (_request, response, { body, start, end }) => {
        response.writeHead(206, { ...headersOf(true, start, end, body.length), "content-encoding": "gzip" });
        response.end(body.subarray(start, end));
        return true;
      },
    ],
  ];
  for (const [code, fault] of answers)
    await withFault(fault, () => assert.rejects(newStore(cut).store.pull(id), { code }, String(fault)));
});
