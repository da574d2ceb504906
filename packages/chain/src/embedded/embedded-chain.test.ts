import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BaseError,
  ContractFunctionRevertedError,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  keccak256,
  pad,
  parseEther,
  toEventSelector,
  toHex,
  toRlp,
  zeroAddress,
} from "viem";
import { probeAbi } from "./testing/probe.ts";
import { alice, bob, startTestChain } from "./testing/test-chain.ts";

const word = (n: number): Hex => pad(`0x${n.toString(16)}`);

async function revertOf(call: Promise<unknown>): Promise<ContractFunctionRevertedError> {
  const error = await call.then(
    () => assert.fail("it did not revert"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof BaseError);
  const revert = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(revert instanceof ContractFunctionRevertedError, String(error));
  return revert;
}

test("deploys a contract and lets viem write, read and find its events", async (t) => {
  const { client, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  assert.equal(address, getContractAddress({ from: alice.address, nonce: 0n }).toLowerCase());
  for (const account of [alice, bob]) {
    const hash = await wallet(account).writeContract({
      address,
      abi: probeAbi,
      functionName: "store",
      args: [word(7)],
    });
    const receipt = await receiptOf(hash);
    assert.equal(receipt.status, "success");
    assert.equal(receipt.from, account.address.toLowerCase());
    assert.equal(receipt.logs.length, 1);
  }
  assert.equal(await client.readContract({ address, abi: probeAbi, functionName: "count" }), 2n);
  const [owner, value, hash] = await client.readContract({
    address,
    abi: probeAbi,
    functionName: "items",
    args: [2n],
  });
  assert.deepEqual([owner, value, hash], [bob.address, 6n, word(7)]);
  const events = await client.getContractEvents({
    address,
    abi: probeAbi,
    eventName: "Stored",
    args: { owner: bob.address },
    fromBlock: 0n,
    strict: true,
  });
  assert.deepEqual(
    events.map(({ args }) => args),
    [{ id: 2n, owner: bob.address, hash: word(7), value: 6n }],
  );
});

test("finds logs by any combination of address, topics and range", async (t) => {
  const { client, rpc, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const [one, two] = [await deployProbe(), await deployProbe()];
  const hashes: Hex[] = [];
  for (const address of [one, two, one]) {
    hashes.push(
      await wallet(bob).writeContract({ address, abi: probeAbi, functionName: "store", args: [word(5)] }),
    );
    await receiptOf(hashes.at(-1)!);
  }
  const count = async (filter: object): Promise<number> => {
    const { result, error } = await rpc("eth_getLogs", [{ fromBlock: "0x0", ...filter }]);
    assert.equal(error, undefined);
    return (result as unknown[]).length;
  };
  const stored = toEventSelector("Stored(uint256,address,bytes32,uint256)");
  assert.equal(await count({}), 3);
  assert.equal(await count({ address: one }), 2);
  assert.equal(await count({ address: [one, two] }), 3);
  assert.equal(await count({ address: zeroAddress }), 0);
  assert.equal(await count({ topics: [stored] }), 3);
  assert.equal(await count({ topics: [word(1)] }), 0);
  assert.equal(await count({ topics: [null, word(2)] }), 1);
  assert.equal(await count({ topics: [[word(9), stored], [word(1), word(2)], null, word(5)] }), 3);
  assert.equal(await count({ topics: [stored, null, pad(alice.address)] }), 0);
  assert.equal(await count({ fromBlock: "0x4", toBlock: "0x4" }), 1);
  const { blockHash } = await receiptOf(hashes[0]!);
  assert.equal(await count({ fromBlock: undefined, blockHash }), 1);
  assert.equal((await client.getBlock({ blockHash })).transactions[0], hashes[0]);
});

test("decodes custom errors, reason strings and panics", async (t) => {
  const { client, receiptOf, deployProbe, sign, rpc } = await startTestChain(t);
  const address = await deployProbe();
  const read = { address, abi: probeAbi } as const;
  const tooSmall = await revertOf(client.readContract({ ...read, functionName: "atLeast", args: [3n] }));
  assert.equal(tooSmall.data?.errorName, "TooSmall");
  assert.deepEqual(tooSmall.data?.args, [3n, 10n]);
  assert.equal((await revertOf(client.readContract({ ...read, functionName: "because" }))).reason, "because");
  const panic = await revertOf(client.readContract({ ...read, functionName: "divide", args: [1n, 0n] }));
  assert.equal(panic.data?.errorName, "Panic");
  // The estimate fails the same way, before anything is sent.
  const estimate = await revertOf(
    client.estimateContractGas({
      ...read,
      functionName: "atLeast" as never,
      args: [3n] as never,
      account: alice,
    }),
  );
  assert.equal(estimate.data?.errorName, "TooSmall");
  // Sent all the same, it is included, fails and costs gas.
  const data = await rpc("eth_call", [{ to: address, data: "0xdeadbeef" }, "latest"]);
  assert.deepEqual([data.error?.code, data.error?.data], [3, "0x"]);
  const sent = await rpc("eth_sendRawTransaction", [await sign(bob, 0, { to: address, data: "0xdeadbeef" })]);
  assert.equal((await receiptOf(sent.result as Hex)).status, "reverted");
  assert.equal(await client.getTransactionCount({ address: bob.address }), 1);
});

test("leaves no trace of what reverts, inside a transaction or as a whole", async (t) => {
  const { client, wallet, receiptOf, deployProbe, rpc, sign } = await startTestChain(t);
  const address = await deployProbe();
  const hash = await wallet(alice).writeContract({
    address,
    abi: probeAbi,
    functionName: "failInside",
    value: 5n,
  });
  assert.equal((await receiptOf(hash)).status, "success");
  const data = encodeFunctionData({ abi: probeAbi, functionName: "writeAndFail" });
  const sent = await rpc("eth_sendRawTransaction", [await sign(bob, 0, { to: address, data, value: 7n })]);
  assert.equal((await receiptOf(sent.result as Hex)).status, "reverted");
  assert.equal(await client.readContract({ address, abi: probeAbi, functionName: "count" }), 1n);
  const [, value] = await client.readContract({ address, abi: probeAbi, functionName: "items", args: [1n] });
  assert.equal(value, 0n);
  assert.equal(await client.getBalance({ address }), 5n);
  for (const nonce of [1n, 2n]) {
    assert.equal(await client.getCode({ address: getContractAddress({ from: address, nonce }) }), undefined);
  }
});

test("moves value and charges exactly gas used times price", async (t) => {
  const { client, wallet, receiptOf } = await startTestChain(t);
  const hash = await wallet(alice).sendTransaction({ to: bob.address, value: parseEther("1") });
  const receipt = await receiptOf(hash);
  assert.equal(receipt.gasUsed, 21_000n);
  assert.equal(await client.getBalance({ address: bob.address }), parseEther("1001"));
  assert.equal(
    await client.getBalance({ address: alice.address }),
    parseEther("999") - receipt.gasUsed * receipt.effectiveGasPrice,
  );
  assert.equal(await client.getBalance({ address: alice.address, blockNumber: 0n }), parseEther("1000"));
});

test("takes legacy, access list and fee market transactions", async (t) => {
  const { client, wallet, receiptOf } = await startTestChain(t);
  for (const [type, name] of [
    ["legacy", "legacy"],
    ["eip2930", "eip2930"],
    ["eip1559", "eip1559"],
  ] as const) {
    const hash = await wallet(alice).sendTransaction({
      to: bob.address,
      value: 1n,
      type,
      ...(type === "eip2930" ? { accessList: [{ address: bob.address, storageKeys: [word(1)] }] } : {}),
    } as never);
    assert.equal((await receiptOf(hash)).status, "success");
    const transaction = await client.getTransaction({ hash });
    assert.equal(transaction.type, name);
    assert.equal(transaction.from, alice.address.toLowerCase());
    if (type === "eip2930") assert.equal(transaction.accessList?.[0]?.storageKeys[0], word(1));
  }
});

test("gives contracts the hashes of the last blocks, the same ones clients see", async (t) => {
  const { client, wallet, receiptOf, deployProbe } = await startTestChain(t, { dev: true });
  const address = await deployProbe();
  const hash = await wallet(alice).writeContract({ address, abi: probeAbi, functionName: "keepHash" });
  const { blockNumber } = await receiptOf(hash);
  const parent = await client.getBlock({ blockNumber: blockNumber - 1n });
  const [, value, kept] = await client.readContract({
    address,
    abi: probeAbi,
    functionName: "items",
    args: [0n],
  });
  assert.equal(value, parent.number);
  assert.equal(kept, parent.hash);
  const hashOf = (number: bigint) =>
    client.readContract({ address, abi: probeAbi, functionName: "hashOf", args: [number] });
  assert.equal(await hashOf(blockNumber), (await client.getBlock()).hash);
  for (let i = 0; i < 256; i++) await client.request({ method: "evm_mine" } as never);
  assert.equal(await hashOf(blockNumber), word(0));
  assert.notEqual(await hashOf(blockNumber + 1n), word(0));
});

test("shows a call what the next block would see", async (t) => {
  const { client, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const before = Math.floor(Date.now() / 1000);
  const [number, timestamp] = await client.readContract({ address, abi: probeAbi, functionName: "clock" });
  assert.equal(number, (await client.getBlockNumber()) + 1n);
  assert.ok(timestamp >= before);
});

test("reads the state of any past block", async (t) => {
  const { client, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const store = async () => {
    const hash = await wallet(alice).writeContract({
      address,
      abi: probeAbi,
      functionName: "store",
      args: [word(1)],
    });
    return (await receiptOf(hash)).blockNumber;
  };
  const [first, second] = [await store(), await store()];
  const countAt = (blockNumber: bigint) =>
    client.readContract({ address, abi: probeAbi, functionName: "count", blockNumber });
  assert.deepEqual([await countAt(first), await countAt(second)], [1n, 2n]);
  const [number, timestamp] = await client.readContract({
    address,
    abi: probeAbi,
    functionName: "clock",
    blockNumber: first,
  });
  const block = await client.getBlock({ blockNumber: first });
  assert.deepEqual([number, timestamp], [block.number, block.timestamp]);
  assert.equal(await client.getCode({ address, blockNumber: 0n }), undefined);
  await assert.rejects(countAt(second + 1n), /header not found/);
});

test("overrides balances, code and storage for one call only", async (t) => {
  const { client, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const other = "0x00000000000000000000000000000000000000aa";
  const code = (await client.getCode({ address }))!;
  const count = await client.readContract({
    address: other,
    abi: probeAbi,
    functionName: "count",
    stateOverride: [{ address: other, code, stateDiff: [{ slot: word(0), value: word(300) }] }],
  });
  assert.equal(count, 300n);
  assert.equal(await client.getCode({ address: other }), undefined);
  await assert.rejects(client.call({ account: other, to: alice.address, value: 5n }), /funds/);
  await client.call({
    account: other,
    to: alice.address,
    value: 5n,
    stateOverride: [{ address: other, balance: 5n }],
  });
});

test("deletes a contract destroyed by the transaction that made it, so that its address can be used again", async (t) => {
  const { client, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  for (let i = 0; i < 2; i++) {
    const { result, request } = await client.simulateContract({
      address,
      abi: probeAbi,
      functionName: "spawn",
      args: [word(1)],
      account: alice,
    });
    assert.equal((await receiptOf(await wallet(alice).writeContract(request))).status, "success");
    assert.equal(await client.getCode({ address: result }), undefined);
    assert.equal(Number(await client.getStorageAt({ address: result, slot: "0x0" })), 0);
  }
});

test("refuses a transaction signed for another chain, or for any chain", async (t) => {
  const { rpc, sign, client } = await startTestChain(t, { chainId: 9_001 });
  assert.equal(await client.getChainId(), 9_001);
  const transfer = { nonce: 0, gas: 21_000n, to: bob.address, value: 1n } as const;
  const fees = { maxFeePerGas: 2_000_000_000n, maxPriorityFeePerGas: 0n } as const;
  for (const [raw, message] of [
    [await alice.signTransaction({ ...transfer, ...fees, type: "eip1559", chainId: 1 }), /invalid chain id/],
    [
      await alice.signTransaction({ ...transfer, type: "legacy", gasPrice: 2_000_000_000n, chainId: 1 }),
      /invalid chain id/,
    ],
    [
      await alice.signTransaction({ ...transfer, type: "legacy", gasPrice: 2_000_000_000n }),
      /replay-protected/,
    ],
  ] as const) {
    assert.match((await rpc("eth_sendRawTransaction", [raw])).error?.message ?? "", message);
  }
  assert.equal(
    (await rpc("eth_sendRawTransaction", [await sign(alice, 0, { to: bob.address })])).error,
    undefined,
  );
});

test("gives every block consistent roots, blooms and gas sums", async (t) => {
  const { client, rpc, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const hash = await wallet(bob).writeContract({
    address,
    abi: probeAbi,
    functionName: "store",
    args: [word(1)],
  });
  const receipt = await receiptOf(hash);
  const block = await client.getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true });
  const genesis = await client.getBlock({ blockNumber: 0n });
  assert.equal(block.gasUsed, receipt.cumulativeGasUsed);
  assert.equal(block.logsBloom, receipt.logsBloom);
  assert.notEqual(block.logsBloom, genesis.logsBloom);
  assert.equal(block.transactions[0]?.hash, hash);
  assert.equal(block.parentHash, (await client.getBlock({ blockNumber: receipt.blockNumber - 1n })).hash);
  // keccak256(rlp("")): the root of an empty trie.
  assert.equal(
    genesis.transactionsRoot,
    "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
  );
  // A trie of one entry is one leaf: the key rlp(0) = 0x80 with the leaf's prefix, and the value.
  const rootOfOne = (value: Hex) => keccak256(toRlp(["0x2080", value]));
  const { result: raw } = await rpc("eth_getRawTransactionByHash", [hash]);
  assert.equal(block.transactionsRoot, rootOfOne(raw as Hex));
  const logs = receipt.logs.map(({ address: from, topics, data }) => [from, topics, data]);
  const body = toRlp(["0x01", toHex(receipt.cumulativeGasUsed), receipt.logsBloom, logs] as never);
  assert.equal(block.receiptsRoot, rootOfOne(`0x02${body.slice(2)}`));
  assert.notEqual(block.stateRoot, genesis.stateRoot);
});
