import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock, waitFor } from "@hydrogen/std";
import { headersOf, safetensors } from "./testing/hub.ts";
import { createBench } from "./testing/stores.ts";

const { hub, newStore, newRepo } = await createBench();
const script = fileURLToPath(new URL("./testing/pull-process.ts", import.meta.url));

const pieceBytes = 64 * 1024;

async function recordedPieces(dir: string): Promise<number> {
  const [state] = (await readdir(join(dir, ".incoming"), { recursive: true })).filter((path) =>
    path.endsWith(".part.json"),
  );
  if (state === undefined) return 0;
  return JSON.parse(await readFile(join(dir, ".incoming", state), "utf8")).done.length;
}

test("a pull killed with -9 again and again is finished by the next, with little fetched twice", async () => {
  const weights = safetensors(2048 * 1024, 3);
  const id = newRepo({ files: { "model.safetensors": weights } });
  const { dir, store } = newStore({ pieceBytes, spanBytes: 256 * 1024 });
  let sentBytes = 0;
  for (const killAtBytes of [500 * 1024, 1000 * 1024]) {
    const child = spawn(process.execPath, [script, dir, hub.origin, hub.filesOrigin, id], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const exited = once(child, "exit");
    let killed = false;
    hub.fault = async (_request, response, { body, start, end }) => {
      sentBytes += end - start;
      if (killed || sentBytes < killAtBytes) return false;
      killed = true;
      // What was sent so far is on the disk before the blow.
      await waitFor(async () => (await recordedPieces(dir)) * pieceBytes >= killAtBytes / 2, {
        clock: systemClock,
      });
      response.writeHead(206, headersOf(true, start, end, body.length));
      response.write(body.subarray(start, start + 100 * 1024), () => child.kill("SIGKILL"));
      return true;
    };
    assert.deepEqual(await exited, [null, "SIGKILL"]);
    assert.deepEqual(
      (await store.list()).map(({ state, inUse }) => [state, inUse]),
      [["partial", false]],
    );
  }
  hub.fault = undefined;
  hub.requests.length = 0;
  const model = await store.pull(id);
  assert.deepEqual(await readFile(join(model.dir, "model.safetensors")), weights);
  await store.verify(id);
  const restBytes = hub.requests
    .filter(({ host }) => host === "files")
    .map(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? ""))
    .reduce((sum, range) => sum + (range ? Number(range[2]) + 1 - Number(range[1]) : 0), 0);
  assert.ok(restBytes > 0 && restBytes < weights.length * 0.8, `${restBytes} of ${weights.length}`);
});

test("of two processes that want the same model, one fetches and the other waits for it", async () => {
  const id = newRepo({ files: { "model.safetensors": safetensors(1024 * 1024, 4) } });
  const { dir, store } = newStore();
  hub.requests.length = 0;
  const go = Promise.withResolvers<void>();
  hub.fault = async () => {
    await go.promise;
    return false;
  };
  const child = spawn(process.execPath, [script, dir, hub.origin, hub.filesOrigin, id], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  // Whoever comes second says that it waits; then the first may go on.
  const said: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.push(text);
    if (text.includes("waiting")) go.resolve();
  });
  const exited = once(child, "exit");
  const model = await store.pull(id, {
    onProgress: ({ phase }) => {
      if (phase === "waiting") go.resolve();
    },
  });
  assert.deepEqual(await exited, [0, null]);
  hub.fault = undefined;
  assert.equal(said.join("").trim().split("\n").at(-1), model.dir);
  assert.equal(hub.requests.filter(({ url }) => url.startsWith("/api/")).length, 1);
});
