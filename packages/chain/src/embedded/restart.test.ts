import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Hex, pad } from "viem";
import { startEmbeddedChain } from "./index.ts";
import { probeAbi } from "./testing/probe.ts";
import { alice, alloc, bob, carol, clientsOf, startTestChain } from "./testing/test-chain.ts";

const word = (n: number): Hex => pad(`0x${n.toString(16)}`);

function directory(t: TestContext): string {
  const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-chain-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  return dataDir;
}

test("goes on where it was closed: state, logs, nonces, hashes, past state, waiting transactions", async (t) => {
  const dataDir = directory(t);
  const before = await startEmbeddedChain({ dataDir, alloc });
  const old = clientsOf(before.url, before.wsUrl, before.chainId);
  const address = await old.deployProbe();
  const receipts = [];
  for (const account of [alice, bob, bob]) {
    receipts.push(
      await old.receiptOf(
        await old
          .wallet(account)
          .writeContract({ address, abi: probeAbi, functionName: "store", args: [word(4)] }),
      ),
    );
  }
  const ahead = await old.rpc("eth_sendRawTransaction", [await old.sign(carol, 1, { to: bob.address })]);
  const head = await old.client.getBlock();
  await before.close();
  await before.close();

  // The balances of a chain that exists do not change.
  const { client, rpc, sign, wallet, receiptOf } = await startTestChain(t, { dataDir, alloc: {} });
  assert.deepEqual(await client.getBlock(), head);
  for (const receipt of receipts) {
    assert.deepEqual(await client.getTransactionReceipt({ hash: receipt.transactionHash }), receipt);
  }
  assert.equal(await client.readContract({ address, abi: probeAbi, functionName: "count" }), 3n);
  const { blockNumber } = receipts[0]!;
  assert.equal(await client.readContract({ address, abi: probeAbi, functionName: "count", blockNumber }), 1n);
  assert.equal((await client.getContractEvents({ address, abi: probeAbi, fromBlock: 0n })).length, 3);
  assert.equal(await client.getTransactionCount({ address: bob.address }), 2);
  assert.equal((await client.getTransaction({ hash: ahead.result as Hex })).blockNumber, null);

  const sent = await rpc("eth_sendRawTransaction", [await sign(carol, 0, { to: bob.address })]);
  assert.equal(sent.error, undefined);
  assert.equal((await receiptOf(ahead.result as Hex)).status, "success");
  const kept = await receiptOf(
    await wallet(alice).writeContract({ address, abi: probeAbi, functionName: "keepHash" }),
  );
  const parent = await client.getBlock({ blockNumber: kept.blockNumber - 1n });
  const [, , hash] = await client.readContract({ address, abi: probeAbi, functionName: "items", args: [0n] });
  assert.equal(hash, parent.hash);
});

test("includes transactions that waited for the block clock after a restart without one", async (t) => {
  const dataDir = directory(t);
  const before = await startEmbeddedChain({ dataDir, alloc, blockTimeSec: 3_600 });
  const old = clientsOf(before.url, before.wsUrl, before.chainId);
  const { result } = await old.rpc("eth_sendRawTransaction", [await old.sign(alice, 0, { to: bob.address })]);
  assert.equal(await old.client.getBlockNumber(), 0n);
  await before.close();
  const { receiptOf } = await startTestChain(t, { dataDir });
  assert.equal((await receiptOf(result as Hex)).status, "success");
});

test("lets only one process use a directory, and releases it when it closes", async (t) => {
  const dataDir = directory(t);
  const first = await startEmbeddedChain({ dataDir, alloc });
  await assert.rejects(startEmbeddedChain({ dataDir, alloc }), { code: "STORAGE_IN_USE" });
  await first.close();
  await assert.rejects(startEmbeddedChain({ dataDir, alloc, chainId: 5 }), {
    code: "EMBEDDED_CHAIN_ID_MISMATCH",
  });
  await startTestChain(t, { dataDir });
});

test("says that the port is taken, and closes when its signal aborts", async (t) => {
  const stop = new AbortController();
  const { node } = await startTestChain(t, { signal: stop.signal });
  const port = Number(new URL(node.url).port);
  await assert.rejects(startEmbeddedChain({ alloc, port }), { code: "EMBEDDED_CHAIN_LISTEN_FAILED" });
  stop.abort();
  await node.close();
  await startTestChain(t, { port });
});
