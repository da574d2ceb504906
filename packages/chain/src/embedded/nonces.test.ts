import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hex } from "viem";
import { alice, bob, carol, startTestChain } from "./testing/test-chain.ts";

const transfer = { to: carol.address, value: 1n, gas: 21_000n } as const;

test("holds transactions whose nonce is ahead until the gap fills, then includes them in order", async (t) => {
  const { client, rpc, sign, receiptOf } = await startTestChain(t);
  const later: Hex[] = [];
  for (const nonce of [2, 1, 3]) {
    const { result } = await rpc("eth_sendRawTransaction", [await sign(alice, nonce, transfer)]);
    later.push(result as Hex);
  }
  assert.equal(await client.getBlockNumber(), 0n);
  const waiting = await client.getTransaction({ hash: later[0]! });
  assert.deepEqual([waiting.nonce, waiting.blockNumber], [2, null]);
  assert.equal((await rpc("eth_getTransactionReceipt", [later[0]])).result, null);
  const pendingCount = () => client.getTransactionCount({ address: alice.address, blockTag: "pending" });
  assert.equal(await pendingCount(), 0);
  const first = await rpc("eth_sendRawTransaction", [await sign(alice, 0, transfer)]);
  const order: [bigint, number][] = [];
  for (const hash of [first.result as Hex, later[1]!, later[0]!, later[2]!]) {
    const { blockNumber, transactionIndex } = await receiptOf(hash);
    order.push([blockNumber, transactionIndex]);
  }
  assert.deepEqual(
    order,
    order.toSorted(([a, i], [b, j]) => Number(a - b) || i - j),
  );
  assert.equal(await pendingCount(), 4);
  assert.equal(await client.getTransactionCount({ address: alice.address }), 4);
});

test("refuses a nonce that was used, a transaction it knows, and a cheap replacement", async (t) => {
  const { rpc, sign, receiptOf, client } = await startTestChain(t);
  const send = async (nonce: number, feeWei: bigint) =>
    rpc("eth_sendRawTransaction", [await sign(alice, nonce, { ...transfer, feeWei })]);
  const message = async (answer: ReturnType<typeof send>) => (await answer).error?.message ?? "";

  assert.equal(await message(send(0, 2_000_000_000n)), "");
  assert.match(await message(send(0, 2_000_000_000n)), /nonce too low/);
  assert.match(await message(send(0, 9_000_000_000n)), /nonce too low/);
  const waiting = await send(2, 2_000_000_000n);
  assert.match(await message(send(2, 2_000_000_000n)), /already known/);
  assert.match(await message(send(2, 2_100_000_000n)), /replacement transaction underpriced/);
  const replacement = await send(2, 2_200_000_000n);
  assert.equal(replacement.error, undefined);
  assert.match(await message(send(5_000, 2_000_000_000n)), /nonce too far/);

  await send(1, 2_000_000_000n);
  assert.equal((await receiptOf(replacement.result as Hex)).status, "success");
  assert.equal((await rpc("eth_getTransactionByHash", [waiting.result])).result, null);
  assert.equal(await client.getTransactionCount({ address: alice.address }), 3);
});

test("refuses what can never be executed, in words clients know", async (t) => {
  const { rpc, sign } = await startTestChain(t);
  const message = async (raw: Promise<Hex> | Hex) =>
    (await rpc("eth_sendRawTransaction", [await raw])).error?.message ?? "";
  assert.match(await message(sign(alice, 0, { ...transfer, value: 10n ** 30n })), /insufficient funds/);
  assert.match(await message(sign(alice, 0, { ...transfer, gas: 20_999n })), /intrinsic gas too low/);
  assert.match(await message(sign(alice, 0, { ...transfer, gas: 60_000_001n })), /exceeds block gas limit/);
  assert.match(
    await message(sign(alice, 0, { ...transfer, feeWei: 999_999_999n })),
    /less than block base fee/,
  );
  assert.match(
    await message(sign(alice, 0, { ...transfer, data: `0x${"00".repeat(131_072)}` })),
    /oversized/,
  );
  assert.match(await message("0x"), /too short/);
  assert.match(await message("0x03c0"), /type not supported/);
  assert.match(await message("0xc0"), /invalid transaction/);
  assert.match(await message("0x02"), /invalid transaction/);
  assert.match(await message("0x02f800"), /invalid transaction/);
});

test("drops the second of two transactions that only one balance can pay for, and lets others through", async (t) => {
  const { rpc, sign, client } = await startTestChain(t);
  const most = 600n * 10n ** 18n;
  const answers = await Promise.all(
    [
      sign(alice, 0, { ...transfer, value: most }),
      sign(alice, 1, { ...transfer, value: most }),
      sign(alice, 2, transfer),
      sign(bob, 0, transfer),
    ].map(async (raw) => rpc("eth_sendRawTransaction", [await raw])),
  );
  assert.equal(answers[0]!.error, undefined);
  assert.match(answers[1]!.error?.message ?? "", /funds/);
  // Acknowledged, it waits for a nonce 1 that can be paid for.
  assert.equal(answers[2]!.error, undefined);
  assert.equal(answers[3]!.error, undefined);
  assert.equal(await client.getTransactionCount({ address: alice.address }), 1);
  assert.equal((await rpc("eth_sendRawTransaction", [await sign(alice, 1, transfer)])).error, undefined);
  assert.equal(await client.getTransactionCount({ address: alice.address }), 3);
});

test("takes many transactions of many senders at once, in whatever order they arrive", async (t) => {
  const { rpc, sign, client } = await startTestChain(t);
  const raws: Hex[] = [];
  for (const account of [alice, bob, carol]) {
    for (let nonce = 0; nonce < 20; nonce++)
      raws.push(await sign(account, nonce, { ...transfer, to: alice.address }));
  }
  const shuffled = raws.map((raw, i) => ({ raw, key: (i * 37) % raws.length })).sort((a, b) => a.key - b.key);
  const answers = await Promise.all(shuffled.map(({ raw }) => rpc("eth_sendRawTransaction", [raw])));
  assert.deepEqual(
    answers.filter(({ error }) => error !== undefined),
    [],
  );
  for (const { address } of [alice, bob, carol]) {
    assert.equal(await client.getTransactionCount({ address }), 20);
  }
});
