import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { openDatabase } from "@hydrogen/storage";
import { transferCall } from "./calls.ts";
import { createSender } from "./sender.ts";
import { chainMigrations, sqliteOutbox } from "./sqlite.ts";
import { accounts, funds, startTestChain, type TestChain } from "./testing.ts";
import type { Moment } from "./testing-sender.ts";

const [alice, bob] = accounts as [(typeof accounts)[0], (typeof accounts)[0]];
const program = fileURLToPath(new URL("./testing-sender.ts", import.meta.url));

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sender-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

type Ending = { killed: boolean; hashes: string[] };

/** Runs the program to its end, or to its own kill -9 when it reaches `moment` for the nth time. */
function run(chain: TestChain, dbPath: string, payments: number, moment: Moment, nth = 1): Promise<Ending> {
  const { promise, resolve, reject } = Promise.withResolvers<Ending>();
  const args = [program, chain.url, dbPath, bob.address, String(payments), moment, String(nth)];
  execFile(process.execPath, args, (error, stdout, stderr) => {
    if (error === null) resolve({ killed: false, hashes: JSON.parse(stdout) });
    else if (error.signal === "SIGKILL") resolve({ killed: true, hashes: [] });
    else reject(new Error(`the sender failed: ${stderr}`));
  });
  return promise;
}

describe("sender killed with -9", () => {
  for (const moment of ["signed", "kept", "broadcast", "mined", "recorded"] as const) {
    it(`pays exactly once when it dies with the transaction ${moment}`, async (t) => {
      const chain = await startTestChain(t);
      const dbPath = join(await folderFor(t), "sender.sqlite");
      assert.deepEqual(await run(chain, dbPath, 1, moment), { killed: true, hashes: [] });
      const { hashes } = await run(chain, dbPath, 1, "never");
      assert.equal(hashes.length, 1);
      assert.equal(await chain.nonceOf(alice), 1);
      assert.equal(await chain.balanceOf(bob), funds + 1n);
    });
  }

  it("completes a batch exactly once however often it dies", async (t) => {
    const chain = await startTestChain(t);
    const dbPath = join(await folderFor(t), "sender.sqlite");
    const deaths: [Moment, number][] = [
      ["kept", 3],
      ["broadcast", 4],
      ["signed", 2],
      ["mined", 2],
      ["recorded", 2],
    ];
    for (const [moment, nth] of deaths)
      assert.equal((await run(chain, dbPath, 16, moment, nth)).killed, true, moment);
    const { hashes } = await run(chain, dbPath, 16, "never");
    assert.equal(new Set(hashes).size, 16);
    assert.equal(await chain.nonceOf(alice), 16);
    assert.equal(await chain.balanceOf(bob), funds + 16n);
  });
});

describe("sender started again", () => {
  it("does not take what it did on a chain before its reset for done", async (t) => {
    const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
    for (const salt of [1n, 2n]) {
      const chain = await startTestChain(t, { salt });
      const sender = createSender({ chain: chain.rpc, account: alice, outbox, finalityBlocks: 1 });
      await sender.send({ key: "pay", call: transferCall(bob.address, 1n) });
      assert.equal(sender.record("pay")?.state, "final");
      assert.equal(await chain.balanceOf(bob), funds + 1n);
    }
  });

  it("resumes what an earlier one left, without being asked for it by key", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const db = openDatabase(":memory:", chainMigrations);
    const start = (signal?: AbortSignal) =>
      createSender({ chain: chain.rpc, account: alice, outbox: sqliteOutbox(db) }, { signal });
    const controller = new AbortController();
    await start(controller.signal).submit({ key: "pay", call: transferCall(bob.address, 1n) });
    controller.abort();
    await chain.mine();
    const sender = start();
    assert.equal(sender.resume(), 1);
    await sender.idle();
    assert.equal(sender.record("pay")?.receipt?.status, "success");
  });
});
