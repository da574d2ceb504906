import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { isHydrogenError, systemClock } from "@hydrogen/std";
import { safetensors } from "./testing/hub.ts";
import { createBench } from "./testing/stores.ts";

const { hub, newStore, newRepo } = await createBench();
const modelBytes = 100_000;
const newModel = () => newRepo({ files: { "model.safetensors": safetensors(modelBytes) } });
/** Room for so many models, with their manifests. */
const roomFor = (models: number) => models * (modelBytes + 2_000);

/** Every call is a second later. */
function tickingClock() {
  let nowMs = 1_700_000_000_000;
  return { clock: { nowMs: () => (nowMs += 1_000), sleep: systemClock.sleep } };
}

test("makes room by evicting what was not used for longest", async () => {
  const { store } = newStore({ quotaBytes: roomFor(3) }, tickingClock());
  const ids = [newModel(), newModel(), newModel()];
  for (const id of ids) await store.pull(id);
  const idOf = (at: number) => ids[at]!.toLowerCase();
  (await store.acquire(ids[0]!)).release();
  await store.pull(newModel());
  const kept = (await store.list()).map(({ id }) => id);
  assert.equal(kept.length, 3);
  assert.ok(kept.includes(idOf(0)) && !kept.includes(idOf(1)) && kept.includes(idOf(2)));
});

test("never evicts or removes a model in use, in this process or another", async () => {
  const { dir, store } = newStore({ quotaBytes: roomFor(2) }, tickingClock());
  const [first, second, third] = [newModel(), newModel(), newModel()];
  await store.pull(first);
  await store.pull(second);
  const lease = await store.acquire(first);
  const again = await store.acquire(first);
  const holder = spawn(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `const { createModelStore } = await import(${JSON.stringify(new URL("./store.ts", import.meta.url).href)});
       const store = createModelStore({ dir: ${JSON.stringify(dir)} }, { clock: { nowMs: () => 0 } });
       await store.acquire(${JSON.stringify(second)});
       console.log("held");
       setInterval(() => undefined, 1_000);`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = once(holder, "exit");
  await once(holder.stdout, "data");
  assert.deepEqual(
    (await store.list()).map(({ inUse }) => inUse),
    [true, true],
  );
  await assert.rejects(store.pull(third), (error) => {
    assert.ok(isHydrogenError(error, "MODEL_QUOTA_EXCEEDED"));
    assert.equal(error.failureClass, "resource");
    return true;
  });
  await assert.rejects(store.remove(second), { code: "MODEL_IN_USE" });
  lease.release();
  await assert.rejects(store.remove(first), { code: "MODEL_IN_USE" });
  again.release();
  again.release();
  // A killed process holds nothing.
  holder.kill("SIGKILL");
  await exited;
  await store.remove(second);
  await store.pull(third);
  assert.deepEqual(
    (await store.list()).map(({ id }) => id).sort(),
    [first, third].map((id) => id.toLowerCase()).sort(),
  );
});

test("evicts nothing for a model that would not fit anyhow", async () => {
  const { store } = newStore({ quotaBytes: roomFor(2) });
  const kept = newModel();
  await store.pull(kept);
  const lease = await store.acquire(kept);
  const idle = newModel();
  await store.pull(idle);
  const large = newRepo({ files: { "model.safetensors": safetensors(modelBytes * 2 - 5_000) } });
  hub.requests.length = 0;
  await assert.rejects(store.pull(large), { code: "MODEL_QUOTA_EXCEEDED" });
  assert.equal(hub.requests.filter(({ host }) => host === "files").length, 0);
  const huge = newRepo({ files: { "model.safetensors": safetensors(modelBytes * 3) } });
  await assert.rejects(store.pull(huge), { code: "MODEL_QUOTA_EXCEEDED" });
  assert.equal((await store.list()).filter(({ state }) => state === "ready").length, 2);
  lease.release();
});

test("what an interrupted pull left counts against the quota, and makes room when its time comes", async () => {
  const { store } = newStore({ quotaBytes: roomFor(2), attempts: 1 }, tickingClock());
  const [broken, first, second] = [newModel(), newModel(), newModel()];
  hub.fault = (_request, response) => {
    response.destroy();
    return true;
  };
  await assert.rejects(store.pull(broken), { code: "MODEL_UNREACHABLE" });
  hub.fault = undefined;
  await store.pull(first);
  const [left] = (await store.list()).filter(({ state }) => state === "partial");
  assert.ok(left!.bytes >= modelBytes);
  await store.pull(second);
  assert.deepEqual(
    (await store.list()).map(({ id }) => id).sort(),
    [first, second].map((id) => id.toLowerCase()).sort(),
  );
});

test("looks at the disk before it fetches anything", async () => {
  const id = newModel();
  let free = modelBytes + 4_000;
  const { store } = newStore({ minFreeBytes: 5_000 }, { freeBytes: async () => free });
  hub.requests.length = 0;
  await assert.rejects(store.pull(id), (error) => {
    assert.ok(isHydrogenError(error, "MODEL_DISK_FULL"));
    assert.equal(error.failureClass, "resource");
    return true;
  });
  assert.equal(hub.requests.filter(({ host }) => host === "files").length, 0);
  free += 2_000;
  await store.pull(id);
  await assert.rejects(newStore({ maxModelBytes: modelBytes }).store.pull(id), { code: "MODEL_TOO_LARGE" });
});
