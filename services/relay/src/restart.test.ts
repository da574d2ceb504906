import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createRelayClient } from "@hydrogen/sdk";
import { isHydrogenError, systemClock } from "@hydrogen/std";
import { startEventChain } from "./testing/event-chain.ts";
import { argsText, createLives, people, picture } from "./testing/relay-fixture.ts";

const { creator, nodes } = people;
const main = fileURLToPath(new URL("./main.ts", import.meta.url));

/** The relay in a process of its own, which can be killed. */
async function startProcess(t: TestContext) {
  const chain = await startEventChain(t);
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-relay-process-"));
  const dataDir = join(dir, "data");
  const config = join(dir, "relay.json");
  const addresses = { ...chain.addresses, deployedBlock: Number(chain.addresses.deployedBlock) };
  let child: ChildProcess | undefined;
  let url = "";
  t.after(async () => {
    await stop("SIGKILL");
    rmSync(dir, { recursive: true });
  });
  const start = async () => {
    const port = url === "" ? 0 : Number(new URL(url).port);
    writeFileSync(config, JSON.stringify({ dataDir, rpcUrl: chain.rpcUrl, addresses, port }));
    child = fork(main, [config], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
    const [ready] = await once(child, "message");
    url = (ready as { url: string }).url;
  };
  async function stop(signal: NodeJS.Signals): Promise<number | null> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    const exited = once(child, "exit");
    child.kill(signal);
    const [code] = await exited;
    return code;
  }
  const client = (signer: (typeof people)["creator"]) =>
    createRelayClient({ url, chainId: addresses.chainId, taskContract: addresses.task }, { signer });
  return { chain, dataDir, task: createLives(chain), start, stop, client };
}

test("kill -9 at any moment of an upload leaves all of the result or nothing", async (t) => {
  const { task, start, stop, client, dataDir } = await startProcess(t);
  const files = [picture(1, 128), picture(2, 128), picture(3, 128)];
  await task.succeeded(1n, files);
  await task.succeeded(2n, [picture(4)]);
  await start();
  const startedMs = systemClock.nowMs();
  await client(nodes[0]).uploadResults(2n, [picture(4)]);
  const uploadMs = 2 * (systemClock.nowMs() - startedMs);
  const rounds = 6;
  for (let round = 0; round < rounds; round++) {
    const uploading = client(nodes[0])
      .uploadResults(1n, files)
      .then(() => true)
      .catch(() => false);
    await systemClock.sleep((uploadMs * (round + 1)) / rounds);
    await stop("SIGKILL");
    const acknowledged = await uploading;
    await start();
    assert.deepEqual(readdirSync(join(dataDir, "blobs", ".tmp")), []);
    const received: (Uint8Array | string)[] = [];
    for (const i of files.keys()) {
      received.push(
        await client(creator)
          .getResult(1n, i)
          .catch((error: unknown) => {
            return isHydrogenError(error) ? error.code : String(error);
          }),
      );
    }
    const whole = received.every((file) => typeof file !== "string");
    assert.ok(whole || !acknowledged, "an acknowledged result was lost");
    assert.deepEqual(received, whole ? files : files.map(() => "RELAY_RESULT_NOT_UPLOADED"));
  }
  await client(nodes[0]).uploadResults(1n, files);
  assert.deepEqual(await client(creator).getResult(1n, 2), files[2]);
  assert.deepEqual(await client(creator).getResult(2n, 0), picture(4));
});

test("keeps what it acknowledged across kill -9, and drops bytes without a row", async (t) => {
  const { task, start, stop, client, dataDir } = await startProcess(t);
  await task.drawn(1n);
  await start();
  await client(creator).uploadArgs(1n, argsText);
  await stop("SIGKILL");
  const orphan = join(dataDir, "blobs", "files", "ab", "ab".repeat(32));
  mkdirSync(join(orphan, ".."), { recursive: true });
  writeFileSync(orphan, "left behind between bytes and row");
  await start();
  assert.equal((await client(nodes[0]).getTask(1n)).task_args, argsText);
  assert.deepEqual(readdirSync(join(orphan, "..")), []);
});

test("ends by itself when asked, with exit code 0", async (t) => {
  const { start, stop, client } = await startProcess(t);
  await start();
  await client(creator).now();
  assert.equal(await stop("SIGTERM"), 0);
});

test("does not start with a configuration that is wrong", async () => {
  const child = fork(main, [], { stdio: ["ignore", "ignore", "pipe", "ipc"], env: {} });
  let said = "";
  child.stderr!.on("data", (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, "exit");
  assert.equal(code, 1);
  assert.match(said, /RELAY_CONFIG_INVALID/);
});
