import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { openDatabase } from "@hydrogen/storage";
import { transferCall } from "./calls.ts";
import { createSender, type Sender, type SenderOptions } from "./sender.ts";
import { chainMigrations, sqliteOutbox } from "./sqlite.ts";
import { accounts, funds, startTestChain, type TestChain } from "./testing.ts";

const [alice, bob, carol] = accounts as [(typeof accounts)[0], (typeof accounts)[0], (typeof accounts)[0]];

function senderOf(chain: TestChain, options: Partial<SenderOptions> = {}): Sender {
  const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
  return createSender({ chain: chain.rpc, account: alice, outbox, ...options });
}

const failsWith = (code: string) => (error: unknown) => isHydrogenError(error, code);

describe("sender", () => {
  it("sends, waits for the receipt and knows the transaction by its key afterwards", async (t) => {
    const chain = await startTestChain(t);
    const sender = senderOf(chain);
    const { hash, receipt } = await sender.send({ key: "pay", call: transferCall(bob.address, 5n) });
    assert.equal(receipt.status, "success");
    assert.equal(receipt.transactionHash, hash);
    assert.equal(await chain.balanceOf(bob), funds + 5n);
    const record = sender.record("pay");
    assert.equal(record?.state, "mined");
    assert.equal(record?.nonce, 0);
    assert.deepEqual(record?.receipt, receipt);
  });

  it("gives the first transaction when a key comes again, now or at the same time", async (t) => {
    const chain = await startTestChain(t);
    const sender = senderOf(chain);
    const request = { key: "pay", call: transferCall(bob.address, 5n) };
    const first = await Promise.all([sender.send(request), sender.send(request), sender.send(request)]);
    const again = await sender.send(request);
    assert.equal(new Set([...first, again].map(({ hash }) => hash)).size, 1);
    assert.equal(await chain.balanceOf(bob), funds + 5n);
  });

  it("refuses a key that belongs to another transaction", async (t) => {
    const chain = await startTestChain(t);
    const sender = senderOf(chain);
    await sender.send({ key: "pay", call: transferCall(bob.address, 5n) });
    await assert.rejects(
      sender.send({ key: "pay", call: transferCall(bob.address, 6n) }),
      failsWith("OUTBOX_KEY_REUSED"),
    );
    assert.equal(await chain.balanceOf(bob), funds + 5n);
  });

  it("sends several in a row without waiting for a block", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const sender = senderOf(chain);
    for (const n of [1, 2, 3]) await sender.submit({ key: `pay ${n}`, call: transferCall(bob.address, 1n) });
    assert.equal(await chain.nonceOf(alice), 0);
    const all = Promise.all([1, 2, 3].map((n) => sender.wait(`pay ${n}`)));
    await chain.mine();
    const receipts = (await all).map(({ receipt }) => receipt);
    assert.deepEqual(
      receipts.map(({ blockNumber }) => blockNumber),
      [1n, 1n, 1n],
    );
    assert.equal(await chain.balanceOf(bob), funds + 3n);
  });

  it("waits for as many confirmations as asked", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const sender = senderOf(chain, { confirmations: 3, finalityBlocks: 3 });
    const sent = sender.send({ key: "pay", call: transferCall(bob.address, 1n) });
    sent.catch(() => undefined);
    while (sender.record("pay") === undefined) await chain.rpc.head();
    await chain.mine(2);
    await assert.rejects(sender.wait("pay", { timeoutMs: 200 }), failsWith("TRANSACTION_TIMEOUT"));
    await chain.mine();
    assert.equal((await sent).receipt.blockNumber, 1n);
    await sender.idle();
    assert.equal(sender.record("pay")?.state, "final");
  });

  it("says so when the account cannot pay, and sends nothing", async (t) => {
    const chain = await startTestChain(t);
    const sender = senderOf(chain);
    await assert.rejects(
      sender.send({ key: "pay", call: transferCall(bob.address, funds), gas: 21_000n }),
      failsWith("INSUFFICIENT_FUNDS"),
    );
    assert.equal(sender.record("pay"), undefined);
    await sender.send({ key: "pay", call: transferCall(bob.address, 1n) });
  });

  it("gives up waiting at the time limit or when aborted, but not the transaction", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const sender = senderOf(chain);
    const request = { key: "pay", call: transferCall(bob.address, 1n) };
    await assert.rejects(sender.send(request, { timeoutMs: 30 }), failsWith("TRANSACTION_TIMEOUT"));
    const controller = new AbortController();
    const waiting = sender.wait("pay", { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await chain.mine();
    await sender.wait("pay");
    assert.equal(await chain.balanceOf(bob), funds + 1n);
  });

  it("ends every wait when its signal aborts", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const controller = new AbortController();
    const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
    const sender = createSender({ chain: chain.rpc, account: alice, outbox }, { signal: controller.signal });
    await sender.submit({ key: "pay", call: transferCall(bob.address, 1n) });
    const waits = [sender.wait("pay"), sender.idle()];
    controller.abort(new Error("shutting down"));
    for (const wait of waits) await assert.rejects(wait, /shutting down/);
    await assert.rejects(
      sender.submit({ key: "late", call: transferCall(bob.address, 1n) }),
      /shutting down/,
    );
  });

  it("keeps the accounts of one database apart", async (t) => {
    const chain = await startTestChain(t);
    const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
    const first = createSender({ chain: chain.rpc, account: alice, outbox });
    const second = createSender({ chain: chain.rpc, account: bob, outbox });
    const call = transferCall(carol.address, 1n);
    const sent = await Promise.all([first.send({ key: "pay", call }), second.send({ key: "pay", call })]);
    assert.notEqual(sent[0].hash, sent[1].hash);
    assert.equal(await chain.balanceOf(carol), funds + 2n);
  });
});
