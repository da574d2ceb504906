import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { hexToBytes, systemClock } from "@hydrogen/std";
import { type Database, openDatabase } from "@hydrogen/storage";
import { createChain } from "./chain.ts";
import { hexKey } from "./format.ts";
import { createRules } from "./rules.ts";
import { migrations } from "./schema.ts";
import { alice, alloc, bob } from "./testing/test-chain.ts";

/** A disk that is full whenever it is told to be. */
function unreliable(db: Database): { db: Database; isFull: boolean } {
  const disk = {
    isFull: false,
    db: {
      ...db,
      transaction: <T>(work: () => T): T =>
        db.transaction(() => {
          const result = work();
          if (disk.isFull) throw new Error("database or disk is full");
          return result;
        }),
      run: (sql: string, ...values: Parameters<Database["run"]> extends [string, ...infer V] ? V : never) => {
        if (disk.isFull && sql.includes("INTO pool")) throw new Error("database or disk is full");
        return db.run(sql, ...values);
      },
    },
  };
  return disk;
}

async function setUp(onDemand: boolean) {
  const disk = unreliable(openDatabase(":memory:", migrations));
  const rules = createRules(31_337);
  const log = { info: () => undefined, warn: () => undefined };
  const deps = { db: disk.db, rules, clock: systemClock, randomBytes, log };
  const chain = await createChain({ alloc, onDemand }, deps);
  const raw = async (nonce: number, feeWei = 2_000_000_000n) =>
    hexToBytes(
      await alice.signTransaction({
        type: "eip1559",
        chainId: 31_337,
        nonce,
        to: bob.address,
        value: 1n,
        gas: 21_000n,
        maxFeePerGas: feeWei,
        maxPriorityFeePerGas: feeWei / 2n,
      }),
    );
  const nonce = () => chain.latest.account(hexKey(hexToBytes(alice.address)))?.nonce;
  return { disk, chain, raw, nonce };
}

test("refuses a transaction whose block cannot be written, keeps the old state, and takes it when there is room", async () => {
  const { disk, chain, raw, nonce } = await setUp(true);
  disk.isFull = true;
  await assert.rejects(chain.submit(await raw(0)), /full/);
  assert.equal(chain.head().number, 0);
  assert.equal(nonce(), 0n);
  assert.equal(chain.pool.size, 0);
  disk.isFull = false;
  await chain.submit(await raw(0));
  assert.equal(chain.head().number, 1);
  assert.equal(nonce(), 1n);
  await chain.stop();
});

test("forgets a waiting transaction that cannot be written, and keeps the one it would have replaced", async () => {
  const { disk, chain, raw, nonce } = await setUp(false);
  const first = await chain.submit(await raw(0));
  disk.isFull = true;
  await assert.rejects(chain.submit(await raw(1)), /full/);
  await assert.rejects(chain.submit(await raw(0, 4_000_000_000n)), /full/);
  assert.equal(chain.pool.size, 1);
  await assert.rejects(chain.mine(), /full/);
  assert.notEqual(chain.pool.get(first), undefined);
  disk.isFull = false;
  const { number } = await chain.mine();
  assert.equal(chain.blocks.transactionCount(number), 1);
  assert.notEqual(chain.blocks.raw(Buffer.from(first, "hex")), null);
  assert.equal(nonce(), 1n);
  await chain.stop();
});
