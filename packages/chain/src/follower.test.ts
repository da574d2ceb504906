import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { openDatabase } from "@hydrogen/storage";
import { connectChain } from "./chain.ts";
import { memoryCursor } from "./cursor.ts";
import { createFollower, type EventBatch, type FollowHandler } from "./follower.ts";
import { chainMigrations, sqliteCursor } from "./sqlite.ts";
import { accounts, fastClock, faultyLine, type Intercept } from "./testing.ts";
import { startTestNetwork, type TestNetwork } from "./testing-network.ts";

const bob = accounts[1]!;
const clock = fastClock(20);

/** Gives bob 1, 2, 3 … wei of CNX, each in a block of its own. */
async function give(network: TestNetwork, times: number): Promise<void> {
  for (let i = 1; i <= times; i++) {
    const call = network.chain.calls.token.transfer(bob.address, BigInt(i));
    await network.sender.send({ key: `give ${i}`, call });
  }
}

const valuesOf = (batches: readonly EventBatch[]) =>
  batches.flatMap(({ events }) =>
    events.flatMap((event) =>
      event.name === "Transfer" && event.args.to === bob.address ? [Number(event.args.value)] : [],
    ),
  );

async function chainOver(t: TestContext, network: TestNetwork, intercept: Intercept) {
  const { addresses } = network.chain;
  const transport = faultyLine(network.url, intercept);
  const chain = await connectChain({ rpcUrl: network.url, addresses, pollMs: 200, transport }, { clock });
  t.after(chain.close);
  return chain;
}

/** Runs until the test ends; what `run` throws is in `failure`. */
function start(t: TestContext, run: (signal: AbortSignal) => Promise<never>): { failure: Promise<unknown> } {
  const controller = new AbortController();
  t.after(() => controller.abort());
  return { failure: run(controller.signal).catch((error) => error) };
}

const collect = (batches: EventBatch[]): FollowHandler => ({
  onEvents: (batch) => void batches.push(batch),
  onReorg: () => assert.fail("there was no reorg"),
});

describe("follower", () => {
  it("delivers what happened before and what happens while it runs, in order and once", async (t) => {
    const network = await startTestNetwork(t);
    await give(network, 2);
    const follower = createFollower({ chain: network.chain, cursor: memoryCursor() });
    const batches: EventBatch[] = [];
    start(t, (signal) => follower.run(collect(batches), signal));
    await follower.caughtUp();
    assert.deepEqual(valuesOf(batches), [1, 2]);
    await give(network, 4); // the first two keys are done already
    await follower.caughtUp();
    assert.deepEqual(valuesOf(batches), [1, 2, 3, 4]);
    let next = network.chain.addresses.deployedBlock;
    for (const { fromBlock, toBlock } of batches) {
      assert.equal(fromBlock, next);
      next = toBlock.number + 1n;
    }
    assert.equal(follower.position()?.number, next - 1n);
  });

  it("calls back after the commit, with the batch it committed", async (t) => {
    const network = await startTestNetwork(t);
    const follower = createFollower({ chain: network.chain, cursor: memoryCursor() });
    const seen: (bigint | undefined)[] = [];
    const handler: FollowHandler = {
      onEvents: () => void seen.push(follower.position()?.number),
      onReorg: () => undefined,
      onCommitted: ({ toBlock }) => {
        assert.equal(follower.position()?.number, toBlock.number);
      },
    };
    const { failure } = start(t, (signal) => follower.run(handler, signal));
    await Promise.race([follower.caughtUp(), failure.then((error) => assert.fail(String(error)))]);
    assert.deepEqual(seen, [undefined]);
  });

  it("stays behind the head by the confirmations asked for", async (t) => {
    const network = await startTestNetwork(t);
    await give(network, 2);
    const follower = createFollower({ chain: network.chain, cursor: memoryCursor(), confirmations: 3 });
    const batches: EventBatch[] = [];
    start(t, (signal) => follower.run(collect(batches), signal));
    await network.mine(2);
    await follower.caughtUp();
    assert.deepEqual(valuesOf(batches), [1]);
    await network.mine(1);
    await follower.caughtUp();
    assert.deepEqual(valuesOf(batches), [1, 2]);
  });

  it("reads long histories in pages, and in smaller ones when the RPC refuses", async (t) => {
    const network = await startTestNetwork(t);
    await give(network, 6);
    await network.mine(40);
    const ranges: number[] = [];
    const chain = await chainOver(t, network, async (method, params, next) => {
      if (method !== "eth_getLogs") return next();
      const { fromBlock, toBlock, blockHash } = params[0] as Record<string, string>;
      const blocks = blockHash !== undefined ? 1 : Number(toBlock) - Number(fromBlock) + 1;
      if (blocks > 7) throw Object.assign(new Error("range too large"), { code: -32602 });
      ranges.push(blocks);
      return next();
    });
    const follower = createFollower({ chain, cursor: memoryCursor() }, { clock });
    const batches: EventBatch[] = [];
    start(t, (signal) => follower.run(collect(batches), signal));
    await follower.caughtUp();
    assert.deepEqual(valuesOf(batches), [1, 2, 3, 4, 5, 6]);
    assert.ok(Math.max(...ranges) > 3, "pages shrank for ever");
  });

  it("gives up with a reason when a single block's logs are refused", async (t) => {
    const network = await startTestNetwork(t);
    const chain = await chainOver(t, network, async (method, _params, next) => {
      if (method === "eth_getLogs") throw Object.assign(new Error("pruned"), { code: -32000 });
      return next();
    });
    const follower = createFollower({ chain, cursor: memoryCursor() }, { clock });
    const { failure } = start(t, (signal) => follower.run(collect([]), signal));
    assert.ok(isHydrogenError(await failure, "FOLLOWER_HISTORY_MISSING"));
  });

  it("waits through outages and loses nothing", async (t) => {
    const network = await startTestNetwork(t);
    let count = 0;
    const chain = await chainOver(t, network, async (_method, _params, next) => {
      if (++count % 7 === 0) throw Object.assign(new Error("slow down"), { code: -32005 });
      return next();
    });
    const follower = createFollower({ chain, cursor: memoryCursor(), pageBlocks: 2 }, { clock });
    const batches: EventBatch[] = [];
    const handler = collect(batches);
    const { failure } = start(t, (signal) => follower.run(handler, signal));
    await give(network, 10);
    const reached = (async () => {
      const goal = await network.chain.blockNumber();
      while ((follower.position()?.number ?? 0n) < goal) await clock.sleep(100);
    })();
    await Promise.race([reached, failure.then((error) => assert.fail(String(error)))]);
    assert.deepEqual(valuesOf(batches), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("commits cursor and effects together, and undoes both when the handler fails", async (t) => {
    const network = await startTestNetwork(t);
    await give(network, 3);
    const db = openDatabase(":memory:", [
      ...chainMigrations,
      { id: "test-1", sql: "CREATE TABLE gifts (value INTEGER NOT NULL) STRICT" },
    ]);
    let faults = 1;
    const handler: FollowHandler = {
      onEvents: (batch) => {
        for (const value of valuesOf([batch])) {
          db.run("INSERT INTO gifts VALUES (?)", value);
          if (value === 3 && faults-- > 0) throw new Error("bug");
        }
      },
      onReorg: () => assert.fail("there was no reorg"),
    };
    const follow = () =>
      createFollower({ chain: network.chain, cursor: sqliteCursor(db, "gifts"), pageBlocks: 2 });
    const gifts = () => db.all("SELECT value FROM gifts").map(({ value }) => value);
    const first = follow();
    const { failure } = start(t, (signal) => first.run(handler, signal));
    assert.match(String(await failure), /bug/);
    const before = gifts();
    assert.ok(before.length < 3);
    const second = follow();
    assert.deepEqual(second.position(), first.position()); // durable
    start(t, (signal) => second.run(handler, signal));
    await second.caughtUp();
    assert.deepEqual(gifts(), [1, 2, 3]);
  });

  it("follows by subscription without polling for blocks", async (t) => {
    const network = await startTestNetwork(t);
    const { addresses } = network.chain;
    const chain = await connectChain({
      rpcUrl: network.url,
      wsUrl: network.wsUrl,
      addresses,
      pollMs: 3_600_000,
    });
    t.after(chain.close);
    const follower = createFollower({ chain, cursor: memoryCursor() });
    const batches: EventBatch[] = [];
    start(t, (signal) => follower.run(collect(batches), signal));
    await follower.caughtUp();
    await give(network, 3);
    await follower.caughtUp();
    assert.deepEqual(valuesOf(batches), [1, 2, 3]);
  });

  it("ends with the reason of its signal", async (t) => {
    const network = await startTestNetwork(t);
    const follower = createFollower({ chain: network.chain, cursor: memoryCursor() });
    const controller = new AbortController();
    const run = follower.run(collect([]), controller.signal);
    await follower.caughtUp();
    controller.abort(new Error("shutting down"));
    await assert.rejects(run, /shutting down/);
  });
});
