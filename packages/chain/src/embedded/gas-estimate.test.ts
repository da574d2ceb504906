import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFunctionData, type Hex, pad } from "viem";
import { probeAbi, probeBytecode } from "./testing/probe.ts";
import { alice, bob, startTestChain } from "./testing/test-chain.ts";

const word = (n: number): Hex => pad(`0x${n.toString(16)}`);

test("estimates enough and not much more: transfers, deployments, writes, refunds, hungry callees", async (t) => {
  const { client, rpc, sign, receiptOf, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const data = (functionName: "store" | "clear" | "hungry", args: readonly unknown[]) =>
    encodeFunctionData({ abi: probeAbi, functionName, args } as never);
  let nonce = 0;
  for (const [name, call, slack] of [
    ["transfer", { to: alice.address, value: 1n }, 1.13],
    ["transfer with data", { to: alice.address, data: `0x${"ff".repeat(500)}` }, 1.13],
    ["deployment", { to: null, data: probeBytecode }, 1.03],
    ["first write", { to: address, data: data("store", [word(1)]) }, 1.05],
    ["second write", { to: address, data: data("store", [word(2)]) }, 1.05],
    // A fifth of what it uses comes back, but has to be at hand first.
    ["refund", { to: address, data: data("clear", [1n]) }, 1.4],
    ["hungry", { to: address, data: data("hungry", []) }, 100],
  ] as const) {
    const { result, error } = await rpc("eth_estimateGas", [
      {
        from: bob.address,
        ...(call.to === null ? {} : { to: call.to }),
        ...("data" in call ? { data: call.data } : {}),
        ...("value" in call ? { value: "0x1" } : {}),
      },
    ]);
    assert.equal(error, undefined, name);
    const gas = BigInt(result as Hex);
    const sent = await rpc("eth_sendRawTransaction", [await sign(bob, nonce++, { ...call, gas })]);
    const { status, gasUsed } = await receiptOf(sent.result as Hex);
    assert.equal(status, "success", name);
    assert.ok(Number(gas) <= Number(gasUsed) * slack, `${name}: estimated ${gas}, used ${gasUsed}`);
  }
  assert.equal(await client.getTransactionCount({ address: bob.address }), nonce);
});

test("does not estimate more than the sender can pay for", async (t) => {
  const { rpc, client, deployProbe } = await startTestChain(t);
  const address = await deployProbe();
  const poor = "0x00000000000000000000000000000000000000aa";
  const call = {
    from: poor,
    to: address,
    data: encodeFunctionData({ abi: probeAbi, functionName: "keepHash" }),
  };
  assert.ok(Number((await rpc("eth_estimateGas", [call])).result) > 40_000);
  const gasPrice = `0x${(await client.getGasPrice()).toString(16)}`;
  const balance = `0x${(30_000n * (await client.getGasPrice())).toString(16)}`;
  const { error } = await rpc("eth_estimateGas", [{ ...call, gasPrice }, "latest", { [poor]: { balance } }]);
  assert.match(error?.message ?? "", /gas required exceeds allowance \(30000\)/);
});
