import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "@hydrogen/std";
import type { Hex } from "viem";
import { alice, bob, carol, startTestChain } from "./testing/test-chain.ts";

/** Time that stands still until it is moved. */
function manualClock(): Clock & { advance(ms: number): void } {
  let nowMs = 1_800_000_000_000;
  const sleepers = new Set<{ untilMs: number; wake: () => void }>();
  return {
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { untilMs: nowMs + ms, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
    advance: (ms) => {
      nowMs += ms;
      for (const sleeper of sleepers) {
        if (sleeper.untilMs > nowMs) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
  };
}

test("makes a block per interval, empty or not, and answers before a transaction's block is made", async (t) => {
  const clock = manualClock();
  const { client, rpc, sign, overWebSocket } = await startTestChain(t, { blockTimeSec: 5 }, { clock });
  const watching = overWebSocket();
  let wake = () => {};
  const stop = watching.watchBlockNumber({ onBlockNumber: () => wake() });
  await watching.getBlockNumber();
  const nextBlock = async () => {
    const made = new Promise<void>((resolve) => {
      wake = resolve;
    });
    clock.advance(5_000);
    await made;
    return client.getBlock();
  };
  const transfer = { to: carol.address, value: 1n, gas: 21_000n } as const;
  const hashes: unknown[] = [];
  for (const [account, nonce] of [
    [alice, 1],
    [bob, 0],
    [alice, 0],
  ] as const) {
    hashes.push((await rpc("eth_sendRawTransaction", [await sign(account, nonce, transfer)])).result);
  }
  assert.equal(await client.getBlockNumber(), 0n);
  assert.equal((await rpc("eth_getTransactionReceipt", [hashes[0]])).result, null);
  assert.equal(await client.getTransactionCount({ address: alice.address, blockTag: "pending" }), 2);
  const first = await nextBlock();
  assert.deepEqual(first.transactions, [hashes[1], hashes[2], hashes[0]]);
  const second = await nextBlock();
  assert.deepEqual(second.transactions, []);
  assert.equal(second.timestamp - first.timestamp, 5n);
  assert.equal((await client.getTransactionReceipt({ hash: hashes[0] as Hex })).status, "success");
  stop();
  (await watching.transport.getRpcClient()).close();
});

test("never lets time run backwards, even if the machine's clock does", async (t) => {
  let nowMs = 1_800_000_000_000;
  const clock: Clock = { nowMs: () => nowMs, sleep: () => Promise.reject(new Error("nothing sleeps here")) };
  const { client, rpc, sign } = await startTestChain(t, {}, { clock });
  const stamps: bigint[] = [];
  for (const [nonce, deltaMs] of [10_000, -60_000, 1_000, 65_000].entries()) {
    nowMs += deltaMs;
    await rpc("eth_sendRawTransaction", [await sign(alice, nonce, { to: bob.address })]);
    stamps.push((await client.getBlock()).timestamp - 1_800_000_000n);
  }
  assert.deepEqual(stamps, [10n, 10n, 10n, 16n]);
});
