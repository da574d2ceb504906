import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { isHydrogenError, systemClock } from "@hydrogen/std";
import { parseEther, zeroHash } from "viem";
import { connectChain, createChain } from "./chain.ts";
import { startEmbeddedChain } from "./embedded/index.ts";
import { memoryOutbox } from "./outbox.ts";
import { isRevert } from "./revert.ts";
import { connectRpc } from "./rpc.ts";
import { createSender } from "./sender.ts";
import { accounts, eventually, faultyLine, forward, startTestChain } from "./testing.ts";
import { startTestNetwork } from "./testing-network.ts";

const [alice, bob] = accounts as [(typeof accounts)[0], (typeof accounts)[0]];

describe("chain", () => {
  it("reads the contracts with the types of their interfaces", async (t) => {
    const { chain } = await startTestNetwork(t);
    assert.equal(await chain.token.symbol(), "CNX");
    assert.deepEqual(await chain.node.getNodes(0n, 10n), []);
    const info = await chain.node.getNodeInfo(bob.address);
    assert.deepEqual([info.status, info.gpu.name, info.stakeWei], [0, "", 0n]);
    assert.equal((await chain.task.getParameters()).distanceThreshold, 5);
  });

  it("reads the state after an earlier block", async (t) => {
    const { chain, sender } = await startTestNetwork(t);
    const before = await chain.blockNumber();
    await sender.send({ key: "give", call: chain.calls.token.transfer(bob.address, 7n) });
    assert.equal(await chain.token.balanceOf(bob.address), 7n);
    assert.equal(await chain.at(before).token.balanceOf(bob.address), 0n);
  });

  it("decodes the events of a receipt and of a range of blocks alike", async (t) => {
    const { chain, sender } = await startTestNetwork(t);
    const call = chain.calls.token.transfer(bob.address, 7n);
    const { hash, receipt } = await sender.send({ key: "give", call });
    const events = chain.eventsIn(receipt);
    const [transfer] = events;
    assert.ok(transfer?.name === "Transfer");
    assert.deepEqual(transfer, {
      contract: "token",
      name: "Transfer",
      args: { from: alice.address, to: bob.address, value: 7n },
      blockNumber: receipt.blockNumber,
      blockHash: receipt.blockHash,
      transactionHash: hash,
      logIndex: 0,
    });
    const { blockNumber, blockHash } = receipt;
    assert.deepEqual(await chain.getLogs({ fromBlock: blockNumber, toBlock: blockNumber }), events);
    assert.deepEqual(await chain.getLogs({ blockHash }), events);
    const all = await chain.getLogs({ fromBlock: 0n, toBlock: blockNumber });
    assert.ok(all.some(({ contract, name }) => contract === "task" && name === "ParametersSet"));
  });

  it("tells which custom error a call would meet, with its arguments, before sending", async (t) => {
    const { chain, sender, nonceOf } = await startTestNetwork(t);
    const nonce = await nonceOf(alice);
    const call = chain.calls.node.join("Test GPU", 5n);
    await assert.rejects(
      sender.send({ key: "join", call }),
      (error) =>
        isRevert(error, "UnknownVramClass") && error.facts.gpuVram === 5n && !("hash" in error.facts),
    );
    assert.equal(await nonceOf(alice), nonce);
    assert.equal(sender.record("join"), undefined);
  });

  it("decodes an error that another contract raises on the way", async (t) => {
    const { chain } = await startTestNetwork(t);
    const poor = createSender({ chain, account: bob, outbox: memoryOutbox() });
    const call = chain.calls.task.createTask(0n, zeroHash, zeroHash, 4n);
    await assert.rejects(poor.send({ key: "task", call }), (error) =>
      isRevert(error, "ERC20InsufficientAllowance"),
    );
  });

  it("tells why a mined transaction reverted, also when asked again", async (t) => {
    const { chain, sender, nonceOf } = await startTestNetwork(t);
    const nonce = await nonceOf(alice);
    const request = { key: "join", call: chain.calls.node.join("Test GPU", 5n), gas: 500_000n };
    for (let i = 0; i < 2; i++)
      await assert.rejects(
        sender.send(request),
        (error) => isRevert(error, "UnknownVramClass") && String(error.facts.hash).length === 66,
      );
    assert.equal(await nonceOf(alice), nonce + 1);
  });

  it("tells that a mined transaction ran out of gas", async (t) => {
    const { chain, sender } = await startTestNetwork(t);
    const call = chain.calls.token.transfer(bob.address, parseEther("1"));
    await assert.rejects(sender.send({ key: "give", call, gas: 30_000n }), (error) =>
      isRevert(error, "OutOfGas"),
    );
  });

  it("refuses another chain than the address book's", async (t) => {
    const { chain, url } = await startTestNetwork(t);
    const addresses = { ...chain.addresses, chainId: 1 };
    await assert.rejects(connectChain({ rpcUrl: url, addresses }), (error) =>
      isHydrogenError(error, "CHAIN_WRONG_ID"),
    );
  });

  it("says so when there is no contract at the address", async (t) => {
    const { chain } = await startTestNetwork(t);
    const lost = createChain(chain, { ...chain.addresses, task: bob.address });
    await assert.rejects(lost.task.taskFee(), (error) => isHydrogenError(error, "CONTRACT_NOT_FOUND"));
  });
});

describe("chain RPC", () => {
  const failsWith = (code: string, retryable: boolean) => (error: unknown) =>
    isHydrogenError(error, code) && error.retryable === retryable;

  it("tells an RPC that is away, one that is busy, and one that refuses", async (t) => {
    await assert.rejects(
      connectRpc({ rpcUrl: "http://127.0.0.1:1", timeoutMs: 500 }),
      failsWith("CHAIN_UNREACHABLE", true),
    );
    const { url } = await startTestChain(t);
    let failure: Error | undefined;
    const transport = faultyLine(url, (_method, _params, next) =>
      failure ? Promise.reject(failure) : next(),
    );
    const rpc = await connectRpc({ rpcUrl: url, transport });
    t.after(rpc.close);
    failure = Object.assign(new Error("slow down"), { code: -32005 });
    await assert.rejects(rpc.head(), failsWith("CHAIN_BUSY", true));
    failure = Object.assign(new Error("no"), { code: -32000 });
    await assert.rejects(rpc.head(), failsWith("CHAIN_RPC_ERROR", false));
    failure = undefined;
    await assert.rejects(rpc.block(99n), failsWith("BLOCK_NOT_FOUND", true));
    rpc.close();
    await assert.rejects(rpc.head(), failsWith("CHAIN_CLOSED", false));
  });

  for (const way of ["polling", "subscription"] as const) {
    it(`announces each new head once, by ${way}`, async (t) => {
      const { url, wsUrl, mine } = await startTestChain(t, { manual: true });
      const rpc = await connectRpc(
        way === "polling" ? { rpcUrl: url, pollMs: 20 } : { rpcUrl: url, wsUrl, pollMs: 3_600_000 },
      );
      t.after(rpc.close);
      let head = await rpc.head();
      for (let i = 1; i <= 5; i++) {
        const next = rpc.nextHead(head.hash);
        await mine();
        head = await next;
        assert.equal(head.number, BigInt(i));
      }
    });
  }

  it("subscribes again when the chain comes back", async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), "chain-"));
    const first = await startEmbeddedChain({ dataDir, alloc: {}, dev: true });
    const port = Number(new URL(first.url).port);
    let polls = 0;
    const transport = faultyLine(first.url, (method, _params, next) => {
      if (method === "eth_getBlockByNumber") polls++;
      return next();
    });
    const rpc = await connectRpc({ rpcUrl: first.url, wsUrl: first.wsUrl, pollMs: 20, transport });
    const next = rpc.nextHead((await rpc.head()).hash);
    const pollsWithin = async (ms: number) => {
      const before = polls;
      await systemClock.sleep(ms);
      return polls - before;
    };
    await eventually(async () => (await pollsWithin(200)) === 0); // subscribed
    await first.close();
    assert.ok((await pollsWithin(200)) > 0);
    const second = await startEmbeddedChain({ dataDir, port, alloc: {}, dev: true });
    t.after(async () => {
      rpc.close();
      await second.close();
      await rm(dataDir, { recursive: true });
    });
    await eventually(async () => (await pollsWithin(200)) === 0);
    await forward(second.url, "evm_mine", []);
    assert.equal((await next).number, 1n);
  });

  it("goes on by polling when the subscription breaks", async (t) => {
    const { url, mine } = await startTestChain(t, { manual: true });
    const rpc = await connectRpc({ rpcUrl: url, wsUrl: "ws://127.0.0.1:1", pollMs: 20 });
    t.after(rpc.close);
    const next = rpc.nextHead((await rpc.head()).hash);
    await mine();
    assert.equal((await next).number, 1n);
  });

  it("waits through an outage for the next head", async (t) => {
    const { url, mine } = await startTestChain(t, { manual: true });
    let outages = 3; // none while connecting
    const transport = faultyLine(url, (method, _params, next) =>
      method === "eth_getBlockByNumber" && outages < 3 && ++outages > 0
        ? Promise.reject(Object.assign(new Error("away"), { code: -32005 }))
        : next(),
    );
    const rpc = await connectRpc({ rpcUrl: url, pollMs: 20, transport });
    t.after(rpc.close);
    await mine();
    outages = 0;
    assert.equal((await rpc.nextHead(undefined)).number, 1n);
    assert.equal(outages, 3);
  });

  it("ends a wait for the next head when aborted or closed", async (t) => {
    const { rpc } = await startTestChain(t, { manual: true });
    const { hash } = await rpc.head();
    const controller = new AbortController();
    const waits = [rpc.nextHead(hash, controller.signal), rpc.nextHead(hash)];
    controller.abort(new Error("enough"));
    await assert.rejects(waits[0]!, /enough/);
    rpc.close();
    await assert.rejects(waits[1]!, failsWith("CHAIN_CLOSED", false));
  });
});
