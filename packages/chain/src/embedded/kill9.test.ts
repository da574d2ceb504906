import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { encodeFunctionData, type Hex, pad } from "viem";
import { probeAbi } from "./testing/probe.ts";
import { alice, bob, carol, clientsOf } from "./testing/test-chain.ts";

const program = fileURLToPath(new URL("./testing/chain-child.ts", import.meta.url));
const writers = [alice, bob, carol];
const data = encodeFunctionData({ abi: probeAbi, functionName: "store", args: [pad("0x1")] });

async function start(t: TestContext, args: string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [url] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, url, ...clientsOf(url, url.replace("http", "ws"), 31_337) };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/**
 * Writes from three accounts, four transactions each at a time, until enough were acknowledged; then kills the chain.
 * @returns what was sent and not acknowledged, in order of nonces
 */
async function writeAndKill(
  running: Awaited<ReturnType<typeof start>>,
  contract: Hex,
  acknowledged: Set<Hex>,
): Promise<Hex[]> {
  const { client, rpc, sign, child } = running;
  const enough = acknowledged.size + randomInt(5, 40);
  const unanswered: { raw: Hex; nonce: number }[] = [];
  let dead: Promise<void> | undefined;
  await Promise.all(
    writers.map(async (account) => {
      let nonce = await client.getTransactionCount({ address: account.address, blockTag: "pending" });
      while (dead === undefined) {
        const batch = [3, 0, 2, 1].map(async (ahead) => {
          const raw = await sign(account, nonce + ahead, { to: contract, data });
          const answer = await rpc("eth_sendRawTransaction", [raw]).catch(() => undefined);
          if (answer === undefined) {
            unanswered.push({ raw, nonce: nonce + ahead });
            return;
          }
          assert.equal(answer.error, undefined);
          acknowledged.add(answer.result as Hex);
          if (acknowledged.size >= enough) dead ??= kill(child);
        });
        await Promise.all(batch);
        nonce += 4;
      }
    }),
  );
  await dead;
  return unanswered.sort((a, b) => a.nonce - b.nonce).map(({ raw }) => raw);
}

for (const { mode, args, rounds } of [
  { mode: "on demand", args: [], rounds: 4 },
  { mode: "by the clock", args: ["0.05"], rounds: 2 },
]) {
  test(`loses no acknowledged transaction when it is killed under load, blocks ${mode}`, async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-chain-"));
    t.after(() => rmSync(dataDir, { recursive: true, force: true }));
    let running = await start(t, [dataDir, ...args]);
    const contract = await running.deployProbe();
    const acknowledged = new Set<Hex>();
    for (let round = 0; round < rounds; round++) {
      const unanswered = await writeAndKill(running, contract, acknowledged);
      running = await start(t, [dataDir, ...args]);
      const { client, receiptOf, rpc } = running;
      // An acknowledged transaction may wait for an earlier nonce that was not: the sender sends that again.
      for (const raw of unanswered) {
        const { error } = await rpc("eth_sendRawTransaction", [raw]);
        assert.ok(error === undefined || /already known|nonce too low/.test(error.message), error?.message);
      }
      const known = await Promise.all(
        [...acknowledged].map((hash) => rpc("eth_getTransactionByHash", [hash])),
      );
      assert.equal(
        known.filter(({ result }) => result === null).length,
        0,
        "acknowledged transactions are gone",
      );
      const receipts = await Promise.all([...acknowledged].map((hash) => receiptOf(hash)));
      assert.ok(receipts.every(({ status, logs }) => status === "success" && logs.length === 1));
      // State, logs and nonces tell the same story.
      const blockNumber = await client.getBlockNumber();
      const read = { address: contract, abi: probeAbi } as const;
      const count = Number(await client.readContract({ ...read, functionName: "count", blockNumber }));
      const logs = await client.getContractEvents({ ...read, fromBlock: 0n, toBlock: blockNumber });
      const nonces = await Promise.all(
        writers.map(({ address }) => client.getTransactionCount({ address, blockNumber })),
      );
      assert.equal(logs.length, count);
      assert.equal(
        nonces.reduce((sum, nonce) => sum + nonce, 0),
        count + 1,
      );
      assert.ok(count >= acknowledged.size);
    }
    await kill(running.child);
    t.diagnostic(`${acknowledged.size} transactions acknowledged in ${rounds} rounds`);
  });
}
