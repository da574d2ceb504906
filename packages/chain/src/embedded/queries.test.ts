import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hex, pad } from "viem";
import { probeAbi } from "./testing/probe.ts";
import { alice, bob, startTestChain } from "./testing/test-chain.ts";

test("tells fees that are enough, now and in the past", async (t) => {
  const { client, wallet, receiptOf } = await startTestChain(t);
  const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas();
  const hash = await wallet(alice).sendTransaction({ to: bob.address, maxFeePerGas, maxPriorityFeePerGas });
  const { effectiveGasPrice, gasUsed } = await receiptOf(hash);
  assert.equal(effectiveGasPrice, await client.getGasPrice());
  const history = await client.getFeeHistory({ blockCount: 5, rewardPercentiles: [10, 90] });
  assert.equal(history.oldestBlock, 0n);
  assert.deepEqual(history.baseFeePerGas, Array(3).fill(10n ** 9n));
  assert.deepEqual(history.gasUsedRatio, [0, Number(gasUsed) / 60_000_000]);
  assert.deepEqual(history.reward, Array(2).fill([0n, 0n]));
});

test("pays a tip to nobody's loss but the sender's", async (t) => {
  const { client, wallet, receiptOf } = await startTestChain(t);
  const before = await client.getBalance({ address: alice.address });
  const hash = await wallet(alice).sendTransaction({
    to: bob.address,
    maxFeePerGas: 3n * 10n ** 9n,
    maxPriorityFeePerGas: 10n ** 9n,
  });
  const { effectiveGasPrice, gasUsed } = await receiptOf(hash);
  assert.equal(effectiveGasPrice, 2n * 10n ** 9n);
  assert.equal(await client.getBalance({ address: alice.address }), before - effectiveGasPrice * gasUsed);
});

test("finds blocks, transactions and receipts by number, hash and position", async (t) => {
  const { client, rpc, wallet, receiptOf } = await startTestChain(t);
  const receipt = await receiptOf(await wallet(alice).sendTransaction({ to: bob.address, value: 3n }));
  const { blockHash, blockNumber, transactionHash } = receipt;
  const block = await client.getBlock({ blockHash });
  assert.deepEqual(await client.getBlock({ blockNumber }), block);
  const transaction = await client.getTransaction({ hash: transactionHash });
  assert.deepEqual(await client.getTransaction({ blockHash, index: 0 }), transaction);
  assert.deepEqual(await client.getTransaction({ blockNumber, index: 0 }), transaction);
  assert.equal(await client.getBlockTransactionCount({ blockHash }), 1);
  const number = `0x${blockNumber.toString(16)}`;
  const byNumber = (await rpc("eth_getBlockReceipts", [number])).result as { transactionHash: Hex }[];
  assert.deepEqual(
    byNumber.map((one) => one.transactionHash),
    [transactionHash],
  );
  assert.deepEqual((await rpc("eth_getBlockReceipts", [blockHash])).result, byNumber);
  const raw = (await rpc("eth_getRawTransactionByHash", [transactionHash])).result as Hex;
  assert.match((await rpc("eth_sendRawTransaction", [raw])).error?.message ?? "", /nonce too low/);
  for (const [method, params] of [
    ["eth_getBlockByNumber", ["0x99"]],
    ["eth_getBlockByHash", [pad("0x1")]],
    ["eth_getBlockReceipts", ["0x99"]],
    ["eth_getTransactionByHash", [pad("0x1")]],
    ["eth_getTransactionReceipt", [pad("0x1")]],
    ["eth_getTransactionByBlockNumberAndIndex", [number, "0x1"]],
    ["eth_getTransactionByBlockHashAndIndex", [pad("0x1"), "0x0"]],
    ["eth_getRawTransactionByHash", [pad("0x1")]],
  ] as const) {
    assert.deepEqual(await rpc(method, [...params]), { jsonrpc: "2.0", id: 1, result: null }, method);
  }
  assert.equal((await rpc("eth_getLogs", [{ blockHash: pad("0x1") }])).error?.message, "unknown block");
  assert.deepEqual((await rpc("eth_getLogs", [{ fromBlock: "0x99" }])).result, []);
});

test("reads balances and storage at a block named by its hash (EIP-1898)", async (t) => {
  const { client, rpc, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const store = async () =>
    receiptOf(
      await wallet(bob).writeContract({ address, abi: probeAbi, functionName: "store", args: [pad("0x1")] }),
    );
  const [first] = [await store(), await store()];
  const at = { blockHash: first.blockHash };
  assert.equal((await rpc("eth_getStorageAt", [address, "0x0", at])).result, pad("0x1"));
  assert.equal((await rpc("eth_getStorageAt", [address, "0x0", "latest"])).result, pad("0x2"));
  assert.equal((await rpc("eth_getTransactionCount", [bob.address, at])).result, "0x1");
  assert.equal((await rpc("eth_call", [{ to: address, data: "0x06661abd" }, at])).result, pad("0x1"));
  const unknown = await rpc("eth_getBalance", [bob.address, { blockHash: pad("0x1") }]);
  assert.match(unknown.error?.message ?? "", /header not found/);
  assert.equal(await client.getBalance({ address }), 0n);
});

test("names itself, its network, and that it has no accounts and nothing to catch up with", async (t) => {
  const { rpc } = await startTestChain(t);
  assert.match(String((await rpc("web3_clientVersion")).result), /^hydrogen/);
  assert.equal((await rpc("net_version")).result, "31337");
  assert.equal((await rpc("eth_syncing")).result, false);
  assert.deepEqual((await rpc("eth_accounts")).result, []);
});
