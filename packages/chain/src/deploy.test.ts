import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { openDatabase } from "@hydrogen/storage";
import { parseEther } from "viem";
import { createChain } from "./chain.ts";
import { deployNetwork } from "./deploy.ts";
import { isRevert } from "./revert.ts";
import { createSender } from "./sender.ts";
import { chainMigrations, sqliteOutbox } from "./sqlite.ts";
import { accounts, eventually, startTestChain, type TestChain } from "./testing.ts";

const [alice, bob, carol] = accounts as [(typeof accounts)[0], (typeof accounts)[0], (typeof accounts)[0]];

function deployerOn(chain: TestChain) {
  const outbox = sqliteOutbox(openDatabase(":memory:", chainMigrations));
  const start = (signal?: AbortSignal) =>
    createSender({ chain: chain.rpc, account: alice, outbox }, { signal });
  return { start, options: { rpc: chain.rpc, pool: carol.address } };
}

describe("deployment", () => {
  it("deploys a network whose contracts know each other, with the parameters asked for", async (t) => {
    const testChain = await startTestChain(t);
    const { start, options } = deployerOn(testChain);
    const parameters = { stakeWei: parseEther("100"), feeWei: parseEther("3"), commitSec: 60n };
    const addresses = await deployNetwork({
      ...options,
      sender: start(),
      initialHolder: bob.address,
      parameters,
    });
    const { token, node, task } = createChain(testChain.rpc, addresses);
    assert.equal(await task.node(), addresses.node);
    assert.equal(await node.task(), addresses.task);
    assert.equal(await task.token(), addresses.token);
    assert.equal(await node.incentivePool(), carol.address);
    assert.equal(await token.balanceOf(bob.address), await token.totalSupply());
    assert.equal(await node.stakeAmount(), parseEther("100"));
    assert.equal(await task.taskFee(), parseEther("3"));
    const set = await task.getParameters();
    assert.deepEqual([set.commitSec, set.revealSec], [60, 60]); // asked for, and the default
    assert.equal(addresses.deployedBlock, 1n);
  });

  it("returns the same network when it runs again", async (t) => {
    const chain = await startTestChain(t);
    const { start, options } = deployerOn(chain);
    const first = await deployNetwork({ ...options, sender: start() });
    const again = await deployNetwork({ ...options, sender: start(), pool: bob.address });
    assert.deepEqual(again, first);
    assert.equal(await chain.nonceOf(alice), 2);
  });

  it("completes a deployment that was interrupted after any of its steps", async (t) => {
    const chain = await startTestChain(t, { manual: true });
    const { start, options } = deployerOn(chain);
    const parameters = { stakeWei: parseEther("100"), feeWei: parseEther("3") };
    for (const step of ["token", "task", "stake", "parameters"]) {
      const controller = new AbortController();
      const sender = start(controller.signal);
      const deployment = deployNetwork({ ...options, sender, parameters }, { signal: controller.signal });
      deployment.catch(() => undefined);
      while (sender.record(`deploy:${step}`) === undefined) await chain.rpc.head();
      controller.abort(new Error("interrupted"));
      await assert.rejects(deployment, /interrupted/);
      await chain.mine();
    }
    const addresses = await deployNetwork({ ...options, sender: start(), parameters });
    assert.equal(await chain.nonceOf(alice), 4);
    assert.equal(await createChain(chain.rpc, addresses).task.taskFee(), parseEther("3"));
  });

  it("refuses parameters that the contracts refuse, or that do not exist", async (t) => {
    const chain = await startTestChain(t);
    const { start, options } = deployerOn(chain);
    await assert.rejects(
      deployNetwork({ ...options, sender: start(), parameters: { commitSec: 1n } }),
      (error) => isRevert(error, "ParameterOutOfBounds") && error.facts.value === 1n,
    );
    const misspelt: Record<string, bigint> = { feeWie: 1n };
    await assert.rejects(deployNetwork({ ...options, sender: start(), parameters: misspelt }), RangeError);
  });

  it("puts the contracts back where they were when a reorg dropped them", async (t) => {
    const chain = await startTestChain(t);
    const { start, options } = deployerOn(chain);
    const empty = await chain.snapshot();
    const first = await deployNetwork({ ...options, sender: start() });
    await chain.revert(empty);
    const again = await deployNetwork({ ...options, sender: start() });
    assert.deepEqual([again.token, again.task], [first.token, first.task]);
    assert.equal(await createChain(chain.rpc, again).task.node(), first.node);
  });

  it("says so when the chain has lost contracts that were final", async (t) => {
    const chain = await startTestChain(t);
    const { start, options } = deployerOn(chain);
    const empty = await chain.snapshot();
    const sender = start();
    await deployNetwork({ ...options, sender });
    await chain.mine(12);
    await eventually(() => sender.record("deploy:task")?.state === "final");
    await chain.revert(empty);
    await assert.rejects(deployNetwork({ ...options, sender }), (error) =>
      isHydrogenError(error, "DEPLOYMENT_BROKEN"),
    );
  });
});
