import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hex, pad } from "viem";
import { probeAbi } from "./testing/probe.ts";
import { alice, bob, startTestChain } from "./testing/test-chain.ts";

const word = (n: number): Hex => pad(`0x${n.toString(16)}`);

/** Collects items and waits until there are enough of them. */
function collector<T>() {
  const items: T[] = [];
  let wake = () => {};
  return {
    items,
    add: (more: readonly T[]) => {
      items.push(...more);
      wake();
    },
    async atLeast(count: number): Promise<T[]> {
      while (items.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return items;
    },
  };
}

test("pushes events, heads and pending transactions over WebSocket", async (t) => {
  const { wallet, deployProbe, overWebSocket, receiptOf } = await startTestChain(t);
  const address = await deployProbe();
  const other = await deployProbe();
  const client = overWebSocket();
  const [ids, heads, pending] = [collector<bigint>(), collector<bigint>(), collector<Hex>()];
  const stop = [
    client.watchContractEvent({
      address,
      abi: probeAbi,
      eventName: "Stored",
      strict: true,
      onLogs: (logs) => ids.add(logs.map(({ args }) => args.id)),
    }),
    client.watchBlocks({ onBlock: ({ number }) => heads.add([number]) }),
    client.watchPendingTransactions({ onTransactions: (hashes) => pending.add(hashes) }),
  ];
  // The subscriptions stand once a later request on the same connection is answered.
  await client.getBlockNumber();
  const sent: Hex[] = [];
  for (const to of [address, other, address]) {
    sent.push(
      await wallet(bob).writeContract({ address: to, abi: probeAbi, functionName: "store", args: [word(1)] }),
    );
  }
  assert.deepEqual(await ids.atLeast(2), [1n, 2n]);
  assert.deepEqual(await pending.atLeast(3), sent);
  const { blockNumber } = await receiptOf(sent[2]!);
  assert.equal((await heads.atLeast(3)).at(-1), blockNumber);
  for (const end of stop) end();
  (await client.transport.getRpcClient()).close();
});

test("stops pushing after eth_unsubscribe", async (t) => {
  const { node, wallet } = await startTestChain(t);
  const socket = new WebSocket(node.wsUrl);
  const messages = collector<{ id?: number; method?: string; result?: unknown }>();
  socket.onmessage = ({ data }) => messages.add([JSON.parse(String(data))]);
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  const call = async (id: number, method: string, params: unknown[]) => {
    socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    for (let count = 1; ; count++) {
      const found = (await messages.atLeast(count)).find((message) => message.id === id);
      if (found !== undefined) return found.result;
    }
  };
  const subscription = await call(1, "eth_subscribe", ["newHeads"]);
  await wallet(alice).sendTransaction({ to: bob.address, value: 1n });
  assert.equal((await messages.atLeast(2))[1]!.method, "eth_subscription");
  assert.equal(await call(2, "eth_unsubscribe", [subscription]), true);
  assert.equal(await call(3, "eth_unsubscribe", [subscription]), false);
  await wallet(alice).sendTransaction({ to: bob.address, value: 1n });
  await call(4, "eth_blockNumber", []);
  assert.equal(messages.items.filter(({ method }) => method === "eth_subscription").length, 1);
  socket.close();
});

test("lets clients poll filters for logs, blocks and pending transactions", async (t) => {
  const { client, wallet, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const store = async () =>
    receiptOf(
      await wallet(bob).writeContract({ address, abi: probeAbi, functionName: "store", args: [word(1)] }),
    );
  await store();
  const logs = await client.createContractEventFilter({
    address,
    abi: probeAbi,
    eventName: "Stored",
    fromBlock: 0n,
  });
  const blocks = await client.createBlockFilter();
  const pending = await client.createPendingTransactionFilter();
  assert.deepEqual(await client.getFilterChanges({ filter: logs }), []);
  const receipts = [await store(), await store()];
  const ids = (found: readonly unknown[]) => found.map((log) => (log as { args: { id: bigint } }).args.id);
  assert.deepEqual(ids(await client.getFilterChanges({ filter: logs })), [2n, 3n]);
  assert.deepEqual(ids(await client.getFilterChanges({ filter: logs })), []);
  assert.deepEqual(ids(await client.getFilterLogs({ filter: logs })), [1n, 2n, 3n]);
  assert.deepEqual(
    await client.getFilterChanges({ filter: blocks }),
    receipts.map(({ blockHash }) => blockHash),
  );
  assert.deepEqual(
    await client.getFilterChanges({ filter: pending }),
    receipts.map(({ transactionHash }) => transactionHash),
  );
  assert.equal(await client.uninstallFilter({ filter: logs }), true);
  assert.equal(await client.uninstallFilter({ filter: logs }), false);
  await assert.rejects(client.getFilterChanges({ filter: logs }), /filter not found/);
});

test("forgets a filter nobody asked for five minutes", async (t) => {
  let nowMs = Date.now();
  const clock = { nowMs: () => nowMs, sleep: () => Promise.reject(new Error("nothing sleeps here")) };
  const { client } = await startTestChain(t, {}, { clock });
  const [kept, left] = [await client.createBlockFilter(), await client.createBlockFilter()];
  for (let minutes = 0; minutes < 6; minutes += 2) {
    nowMs += 2 * 60_000;
    await client.getFilterChanges({ filter: kept });
  }
  await client.createBlockFilter();
  await client.getFilterChanges({ filter: kept });
  await assert.rejects(client.getFilterChanges({ filter: left }), /filter not found/);
});
