import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { openDatabase } from "@hydrogen/storage";
import { transferCall } from "./calls.ts";
import { type Chain, connectChain } from "./chain.ts";
import { createFollower, type Follower, type FollowerOptions } from "./follower.ts";
import { createSender } from "./sender.ts";
import { chainMigrations, sqliteCursor, sqliteOutbox } from "./sqlite.ts";
import { accounts, eventually, fastClock, faultyLine, funds, startTestChain } from "./testing.ts";
import { startTestNetwork, type TestNetwork } from "./testing-network.ts";

const [, bob, carol] = accounts as [(typeof accounts)[0], (typeof accounts)[0], (typeof accounts)[0]];
const clock = fastClock(20);

/** A sender that is gone after one transaction, so that it does not repair the reorgs we make. */
async function give(network: TestNetwork, value: number): Promise<void> {
  const controller = new AbortController();
  const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
  const sender = createSender(
    { chain: network.chain, account: accounts[0]!, outbox },
    { signal: controller.signal },
  );
  await sender.send({ key: "give", call: network.chain.calls.token.transfer(bob.address, BigInt(value)) });
  controller.abort();
}

type Ledger = { follower: Follower; gifts(): unknown[]; reorgs: bigint[] };

/** Keeps bob's gifts in a table, undoing what a reorg drops. */
function keepLedger(t: TestContext, chain: Chain, options: Partial<FollowerOptions> = {}): Ledger {
  const db = openDatabase(":memory:", [
    ...chainMigrations,
    { id: "test-1", sql: "CREATE TABLE gifts (block INTEGER NOT NULL, value INTEGER NOT NULL) STRICT" },
  ]);
  const reorgs: bigint[] = [];
  const follower = createFollower({ chain, cursor: sqliteCursor(db, "gifts"), ...options }, { clock });
  const controller = new AbortController();
  t.after(() => controller.abort());
  const run = follower.run(
    {
      onEvents: ({ events }) => {
        for (const event of events)
          if (event.name === "Transfer" && event.args.to === bob.address)
            db.run("INSERT INTO gifts VALUES (?, ?)", event.blockNumber, event.args.value);
      },
      onReorg: (toBlock) => {
        reorgs.push(toBlock);
        db.run("DELETE FROM gifts WHERE block > ?", toBlock);
      },
    },
    controller.signal,
  );
  run.catch((error) => {
    if (!controller.signal.aborted && !isHydrogenError(error, "CHAIN_CLOSED")) throw error;
  });
  return { follower, reorgs, gifts: () => db.all("SELECT value FROM gifts").map(({ value }) => value) };
}

describe("follower in a reorg", () => {
  for (const confirmations of [0, 1]) {
    it(`takes back what was dropped and delivers what came instead, ${confirmations} blocks behind`, async (t) => {
      const network = await startTestNetwork(t);
      const { follower, gifts, reorgs } = keepLedger(t, network.chain, { confirmations });
      await give(network, 1);
      await network.mine(confirmations);
      await follower.caughtUp();
      const fork = await network.snapshot();
      const forkBlock = await network.chain.blockNumber();
      await give(network, 2);
      await give(network, 3);
      await network.mine(confirmations);
      await follower.caughtUp();
      assert.deepEqual(gifts(), [1, 2, 3]);
      await network.revert(fork);
      for (const value of [4, 5, 6]) await give(network, value);
      await network.mine(confirmations);
      await eventually(() => gifts().length === 4, clock);
      assert.deepEqual(gifts(), [1, 4, 5, 6]);
      assert.equal(reorgs.length, 1);
      // Back to the newest canonical block it had been at.
      assert.ok(reorgs[0]! <= forkBlock && reorgs[0]! >= forkBlock - BigInt(confirmations), String(reorgs));
    });
  }

  it("notices a branch of the same height, and one that is shorter", async (t) => {
    const network = await startTestNetwork(t);
    const { follower, gifts } = keepLedger(t, network.chain);
    const fork = await network.snapshot();
    await give(network, 1);
    await give(network, 2);
    await follower.caughtUp();
    await network.revert(fork);
    await give(network, 3);
    await eventually(() => gifts().join() === "3", clock);
    await network.revert(fork);
    await give(network, 4);
    await eventually(() => gifts().join() === "4", clock);
  });

  it("recovers from one that happened while it was away, deeper than its memory", async (t) => {
    const network = await startTestNetwork(t);
    const fork = await network.snapshot();
    await give(network, 1);
    const db = openDatabase(":memory:", chainMigrations);
    const first = createFollower({ chain: network.chain, cursor: sqliteCursor(db, "x") }, { clock });
    const controller = new AbortController();
    const run = first.run({ onEvents: () => undefined, onReorg: () => undefined }, controller.signal);
    await first.caughtUp(); // in one page: this position is all it remembers
    controller.abort();
    await assert.rejects(run);
    await network.revert(fork);
    await give(network, 2);
    await network.mine(3);
    const reorgs: bigint[] = [];
    const values: bigint[] = [];
    const second = createFollower({ chain: network.chain, cursor: sqliteCursor(db, "x") }, { clock });
    const again = new AbortController();
    t.after(() => again.abort());
    second
      .run(
        {
          onReorg: (toBlock) => void reorgs.push(toBlock),
          onEvents: ({ events }) => {
            for (const event of events)
              if (event.name === "Transfer" && event.args.to === bob.address) values.push(event.args.value);
          },
        },
        again.signal,
      )
      .catch(() => undefined);
    await second.caughtUp();
    assert.deepEqual(reorgs, [network.chain.addresses.deployedBlock - 1n]);
    assert.deepEqual(values, [2n]);
  });

  it("is not deceived when the chain changes between its questions", async (t) => {
    const network = await startTestNetwork(t);
    const fork = await network.snapshot();
    for (const value of [1, 2, 3]) await give(network, value);
    let switched = false;
    const transport = faultyLine(network.url, async (method, _params, next) => {
      if (method === "eth_getLogs" && !switched) {
        switched = true;
        await network.revert(fork);
        for (const value of [7, 8, 9]) await give(network, value);
      }
      return next();
    });
    const { addresses } = network.chain;
    const chain = await connectChain({ rpcUrl: network.url, addresses, pollMs: 100, transport }, { clock });
    t.after(chain.close);
    const { follower, gifts, reorgs } = keepLedger(t, chain);
    await follower.caughtUp();
    assert.ok(switched);
    assert.deepEqual(gifts(), [7, 8, 9]);
    // Nothing of the mixture was committed.
    assert.deepEqual(reorgs, []);
    const { number, hash } = follower.position()!;
    assert.equal((await network.chain.block(number)).hash, hash);
  });

  it("does not mistake a server that lags for a reorg", async (t) => {
    const network = await startTestNetwork(t);
    await give(network, 1);
    let lag = 0n;
    let missing = 0;
    const transport = faultyLine(network.url, async (method, params, next) => {
      if (method !== "eth_getBlockByNumber" || lag === 0n) return next();
      const newest = await network.chain.blockNumber();
      const asked = params[0] === "latest" ? newest - lag : BigInt(params[0] as string);
      // The server that is asked for a number lags more than the one that is asked for the head.
      if (params[0] !== "latest" && asked >= newest - lag) return ++missing && null;
      return network.chain.request({ method, params: [`0x${asked.toString(16)}`, false] });
    });
    const { addresses } = network.chain;
    const chain = await connectChain({ rpcUrl: network.url, addresses, pollMs: 100, transport }, { clock });
    t.after(chain.close);
    const { follower, gifts, reorgs } = keepLedger(t, chain, { pageBlocks: 1 });
    await follower.caughtUp();
    lag = 1n;
    await eventually(() => missing > 0, clock);
    await give(network, 2);
    lag = 0n;
    await eventually(() => gifts().length === 2, clock);
    assert.deepEqual(gifts(), [1, 2]);
    assert.deepEqual(reorgs, []);
  });
});

describe("sender in a reorg", () => {
  it("sends again what a reorg dropped, once", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
    const sender = createSender({ chain: chain.rpc, account: bob, outbox }, { clock });
    const fork = await chain.snapshot();
    for (const key of ["first", "second"])
      await sender.submit({ key, call: transferCall(carol.address, 1n) });
    await chain.mine();
    const [{ hash }] = await Promise.all([sender.wait("first"), sender.wait("second")]);
    await chain.revert(fork);
    assert.equal(await chain.balanceOf(carol), funds);
    await eventually(() => sender.record("first")?.state === "open", clock);
    await eventually(
      async () => {
        await chain.mine();
        return (await chain.nonceOf(bob)) === 2;
      },
      clock,
      1_000,
    );
    await eventually(() => sender.record("second")?.state === "mined", clock);
    assert.equal((await sender.wait("first")).hash, hash);
    assert.equal(await chain.balanceOf(carol), funds + 2n);
  });

  it("follows a transaction into the block that a reorg moved it to", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
    const sender = createSender({ chain: chain.rpc, account: bob, outbox, confirmations: 2 }, { clock });
    const fork = await chain.snapshot();
    const sent = sender.send({ key: "pay", call: transferCall(carol.address, 1n) });
    await eventually(() => sender.record("pay") !== undefined, clock);
    const { raw } = sender.record("pay")!.attempts[0]!;
    await chain.mine();
    await eventually(() => sender.record("pay")?.state === "mined", clock);
    await chain.revert(fork);
    await chain.mine();
    await chain.rpc.request({ method: "eth_sendRawTransaction", params: [raw] }).catch(() => undefined);
    await chain.mine(2);
    const { receipt } = await sent;
    assert.equal(receipt.blockNumber, 2n);
    assert.equal((await chain.rpc.block(2n)).hash, receipt.blockHash);
    assert.equal(await chain.balanceOf(carol), funds + 1n);
  });
});
