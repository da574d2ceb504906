import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hex, pad } from "viem";
import { probeAbi } from "./testing/probe.ts";
import { alice, startTestChain } from "./testing/test-chain.ts";

const word = (n: number): Hex => pad(`0x${n.toString(16)}`);

test("moves time for tests of deadlines", async (t) => {
  const { client, rpc, deployProbe } = await startTestChain(t, { dev: true });
  const address = await deployProbe();
  const now = async () => (await client.readContract({ address, abi: probeAbi, functionName: "clock" }))[1];
  const before = await now();
  await rpc("evm_increaseTime", [3_600]);
  assert.ok((await now()) >= before + 3_600n);
  await rpc("evm_setNextBlockTimestamp", [Number(before) + 10_000]);
  await rpc("evm_mine");
  assert.equal((await client.getBlock()).timestamp, before + 10_000n);
  assert.ok((await now()) >= before + 10_000n);
  assert.match((await rpc("evm_setNextBlockTimestamp", [1])).error?.message ?? "", /before/);
});

test("goes back to a snapshot: state, nonces, logs, receipts and waiting transactions", async (t) => {
  const { client, rpc, sign, wallet, receiptOf, deployProbe } = await startTestChain(t, { dev: true });
  const address = await deployProbe();
  const store = async () =>
    receiptOf(
      await wallet(alice).writeContract({ address, abi: probeAbi, functionName: "store", args: [word(1)] }),
    );
  await store();
  const { result: snapshot } = await rpc("evm_snapshot");
  const undone = await store();
  const waiting = await rpc("eth_sendRawTransaction", [await sign(alice, 9, { to: address })]);
  assert.equal((await rpc("evm_revert", [snapshot])).result, true);
  assert.equal(await client.getBlockNumber(), 2n);
  assert.equal(await client.readContract({ address, abi: probeAbi, functionName: "count" }), 1n);
  assert.equal(await client.getTransactionCount({ address: alice.address }), 2);
  assert.equal((await client.getContractEvents({ address, abi: probeAbi, fromBlock: 0n })).length, 1);
  assert.equal((await rpc("eth_getTransactionReceipt", [undone.transactionHash])).result, null);
  assert.equal((await rpc("eth_getTransactionByHash", [waiting.result])).result, null);
  const again = await store();
  assert.equal(again.blockNumber, undone.blockNumber);
  assert.notEqual(again.blockHash, undone.blockHash);
  assert.equal((await rpc("evm_revert", ["0x9"])).result, false);
});
