import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { openDatabase } from "@hydrogen/storage";
import { type Hex, keccak256, parseGwei, parseTransaction } from "viem";
import { transferCall } from "./calls.ts";
import { connectRpc, type EvmRpc } from "./rpc.ts";
import { createSender, type Sender, type SenderOptions } from "./sender.ts";
import { chainMigrations, sqliteOutbox } from "./sqlite.ts";
import {
  accounts,
  eventually,
  fastClock,
  faultyLine,
  funds,
  type Intercept,
  startTestChain,
  type TestChain,
} from "./testing.ts";

const [alice, bob] = accounts as [(typeof accounts)[0], (typeof accounts)[0]];
const clock = fastClock(50);

/** A sender whose requests pass through `intercept`. */
async function senderOver(
  t: TestContext,
  chain: TestChain,
  intercept: Intercept,
  options: Partial<SenderOptions> = {},
): Promise<{ sender: Sender; rpc: EvmRpc }> {
  const rpc = await connectRpc(
    { rpcUrl: chain.url, pollMs: 500, transport: faultyLine(chain.url, intercept) },
    { clock },
  );
  t.after(rpc.close);
  const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
  return { rpc, sender: createSender({ chain: rpc, account: alice, outbox, ...options }, { clock }) };
}

/** Another program that uses the same account. */
async function sendElsewhere(
  chain: TestChain,
  nonce: number,
  valueWei: bigint,
  maxFeeWei = parseGwei("20"),
): Promise<Hex> {
  const raw = await alice.signTransaction({
    type: "eip1559",
    chainId: chain.rpc.chainId,
    nonce,
    to: bob.address,
    value: valueWei,
    gas: 21_000n,
    maxFeePerGas: maxFeeWei,
    maxPriorityFeePerGas: maxFeeWei,
  });
  return chain.rpc.request({ method: "eth_sendRawTransaction", params: [raw] });
}

describe("concurrent use of one account", () => {
  it("gives concurrent sends consecutive nonces and mines all of them", async (t) => {
    const chain = await startTestChain(t);
    const { sender } = await senderOver(t, chain, (_method, _params, next) => next());
    const keys = Array.from({ length: 25 }, (_, i) => `pay ${i}`);
    await Promise.all(keys.map((key) => sender.send({ key, call: transferCall(bob.address, 1n) })));
    const nonces = keys.map((key) => sender.record(key)!.nonce).sort((a, b) => a - b);
    assert.deepEqual(nonces, [...keys.keys()]);
    assert.equal(await chain.balanceOf(bob), funds + 25n);
  });

  it("continues after nonces that another program used, mined or waiting", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const { sender } = await senderOver(t, chain, (_method, _params, next) => next());
    await sendElsewhere(chain, 0, 100n);
    await chain.mine();
    await sendElsewhere(chain, 1, 100n);
    assert.equal((await sender.submit({ key: "pay", call: transferCall(bob.address, 1n) })).nonce, 2);
    await chain.mine();
    await sender.wait("pay");
    assert.equal(await chain.balanceOf(bob), funds + 201n);
  });

  it("signs anew when another program's transaction took the nonce, and still pays once", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const { sender } = await senderOver(t, chain, (_method, _params, next) => next());
    const request = { key: "pay", call: transferCall(bob.address, 1n) };
    assert.equal((await sender.submit(request)).nonce, 0);
    await sendElsewhere(chain, 0, 100n, parseGwei("900"));
    await chain.mine();
    await eventually(() => sender.record("pay")?.nonce === 1, clock);
    await chain.mine();
    const { receipt } = await sender.send(request);
    assert.equal(receipt.blockNumber, 2n);
    assert.equal(sender.record("pay")?.attempts.length, 2);
    assert.equal(await chain.balanceOf(bob), funds + 101n);
  });

  it("does not sign anew while a reorg could still undo the other program's transaction", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const { sender } = await senderOver(t, chain, (_method, _params, next) => next(), { confirmations: 2 });
    await sender.submit({ key: "pay", call: transferCall(bob.address, 1n) });
    await sendElsewhere(chain, 0, 100n, parseGwei("900"));
    await chain.mine();
    const laterMs = clock.nowMs() + 20_000;
    await eventually(() => clock.nowMs() > laterMs, clock);
    assert.equal(sender.record("pay")?.attempts.length, 1);
    await chain.mine();
    await eventually(() => sender.record("pay")?.nonce === 1, clock);
  });

  it("does not sign anew when only the receipt is late", async (t) => {
    const chain = await startTestChain(t);
    let firstAskedMs: number | undefined;
    const { sender } = await senderOver(t, chain, async (method, _params, next) => {
      if (method !== "eth_getTransactionReceipt") return next();
      firstAskedMs ??= clock.nowMs();
      return clock.nowMs() - firstAskedMs < 3_000 ? null : next();
    });
    await sender.send({ key: "pay", call: transferCall(bob.address, 1n) });
    assert.equal(sender.record("pay")?.attempts.length, 1);
    assert.equal(await chain.balanceOf(bob), funds + 1n);
  });

  it("broadcasts again what the chain forgot", async (t) => {
    const chain = await startTestChain(t);
    let lost = 0;
    const { sender } = await senderOver(t, chain, async (method, params, next) => {
      if (method !== "eth_sendRawTransaction" || lost > 0) return next();
      lost++;
      return keccak256(params[0] as Hex); // accepted, and lost
    });
    await sender.submit({ key: "lost", call: transferCall(bob.address, 1n) });
    await sender.send({ key: "next", call: transferCall(bob.address, 1n) });
    await sender.wait("lost");
    assert.equal(lost, 1);
    assert.deepEqual([sender.record("lost")?.nonce, sender.record("next")?.nonce], [0, 1]);
    assert.equal(sender.record("lost")?.attempts.length, 1);
    assert.equal(await chain.balanceOf(bob), funds + 2n);
  });

  it("replaces a transaction that nobody mines at the same nonce for a higher fee", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    let stingy = true;
    const { sender } = await senderOver(t, chain, async (method, params, next) => {
      if (method !== "eth_sendRawTransaction") return next();
      const { maxFeePerGas = 0n } = parseTransaction(params[0] as Hex);
      stingy = maxFeePerGas < 3n * 10n ** 9n; // two raises above twice the base fee
      return stingy ? keccak256(params[0] as Hex) : next();
    });
    await sender.submit({ key: "pay", call: transferCall(bob.address, 1n) });
    await eventually(
      async () => {
        await chain.mine();
        return !stingy;
      },
      clock,
      2_000,
    );
    await chain.mine();
    await sender.wait("pay");
    const attempts = sender.record("pay")!.attempts;
    assert.ok(attempts.length >= 3, `${attempts.length} attempts`);
    assert.deepEqual(new Set(attempts.map(({ nonce }) => nonce)), new Set([0]));
    assert.equal(await chain.balanceOf(bob), funds + 1n);
  });

  it("does not raise the fee while the chain makes no blocks", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    let reviews = 0;
    const { sender } = await senderOver(t, chain, async (method, _params, next) => {
      if (method === "eth_sendRawTransaction") reviews++;
      return next();
    });
    await sender.submit({ key: "pay", call: transferCall(bob.address, 1n) });
    await eventually(() => reviews >= 10, clock); // ten times five seconds of the sender's clock
    assert.equal(sender.record("pay")!.attempts.length, 1);
  });

  it("fills a gap left by transactions of another program that vanished", async (t) => {
    const chain = await startTestChain(t);
    let phantoms = 2;
    const { sender } = await senderOver(t, chain, async (method, params, next) => {
      const answer = await next();
      if (method !== "eth_getTransactionCount" || params[1] !== "pending") return answer;
      const counted = Number(answer) + phantoms;
      phantoms = 0;
      return `0x${counted.toString(16)}`;
    });
    const sent = await sender.send({ key: "pay", call: transferCall(bob.address, 1n) });
    assert.equal(sent.receipt.status, "success");
    assert.equal(sender.record("pay")?.nonce, 2);
    assert.equal(await chain.nonceOf(alice), 3);
    assert.equal(await chain.balanceOf(bob), funds + 1n);
  });

  it("keeps its promises while every seventh request is refused", async (t) => {
    const chain = await startTestChain(t);
    let count = 0;
    const { sender } = await senderOver(t, chain, async (_method, _params, next) => {
      if (++count % 7 === 0) throw Object.assign(new Error("slow down"), { code: -32005 });
      return next();
    });
    let sent = 0;
    for (let i = 0; i < 10; i++) {
      const request = { key: `pay ${i}`, call: transferCall(bob.address, 1n) };
      await eventually(
        () =>
          sender.send(request).then(
            () => ++sent,
            (error) => {
              assert.equal(error.code, "CHAIN_BUSY");
              return undefined;
            },
          ),
        clock,
      );
    }
    assert.equal(sent, 10);
    assert.equal(await chain.balanceOf(bob), funds + 10n);
  });
});
