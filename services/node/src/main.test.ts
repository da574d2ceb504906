import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createKeystore } from "@hydrogen/chain/node";

/** A node that will not get beyond its start, for its chain takes connections and never answers. */
async function startForked(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-main-"));
  const chain = createServer();
  chain.listen(0, "127.0.0.1");
  await once(chain, "listening");
  await createKeystore(join(dir, "keystore.json"), "password", { scryptN: 1024 });
  const address = (digit: number) => `0x${String(digit).repeat(40)}`;
  const config = {
    dataDir: "data",
    rpcUrl: `http://127.0.0.1:${(chain.address() as AddressInfo).port}`,
    addresses: { chainId: 1, token: address(1), node: address(2), task: address(3) },
    relayUrl: "http://127.0.0.1:9",
    keystore: { path: "keystore.json", passwordEnv: "NODE_PASSWORD" },
    gpuName: "CPU",
    vramGb: 8,
    modelsDirs: ["models"],
    api: { port: 0 },
    log: "error",
  };
  const path = join(dir, "config.json");
  writeFileSync(path, JSON.stringify(config));
  const child = fork(fileURLToPath(new URL("./main.ts", import.meta.url)), [path], {
    env: { ...process.env, NODE_PASSWORD: "password" },
  });
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
    chain.close();
    rmSync(dir, { recursive: true });
  });
  return { child, exited, reachesChain: once(chain, "connection") };
}

test("ends with whoever started it, even while it is starting", { timeout: 60_000 }, async (t) => {
  const { child, exited, reachesChain } = await startForked(t);
  await reachesChain;
  child.disconnect();
  assert.deepEqual(await exited, [0, null]);
});

test("ends at once when whoever started it is gone already", { timeout: 60_000 }, async (t) => {
  const { child, exited } = await startForked(t);
  child.disconnect();
  assert.deepEqual(await exited, [0, null]);
});
