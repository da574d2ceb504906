import assert from "node:assert/strict";
import { test } from "node:test";
import { connectRpc, createSender, memoryOutbox, transferCall } from "@hydrogen/chain";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import { parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { createSend } from "./transactions.ts";

const alice = privateKeyToAccount(`0x${"a1".repeat(32)}`);
const bob = privateKeyToAccount(`0x${"b0".repeat(32)}`);

test("sends once for one purpose, again for a repeatable one, and anew after a refusal on chain", async (t) => {
  const embedded = await startEmbeddedChain({ alloc: { [alice.address]: parseEther("10") }, dev: true });
  const rpc = await connectRpc({ rpcUrl: embedded.url });
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    rpc.close();
    await embedded.close();
  });
  const sender = createSender(
    { chain: rpc, account: alice, outbox: memoryOutbox() },
    { signal: stop.signal },
  );
  const send = createSend(sender);
  const balance = async () =>
    BigInt(await rpc.request({ method: "eth_getBalance", params: [bob.address, "latest"] }));

  const call = transferCall(bob.address, 1n);
  const first = await send({ purpose: "gift", call }, stop.signal);
  const second = await send({ purpose: "gift", call }, stop.signal);
  assert.equal(second.hash, first.hash);
  assert.equal(await balance(), 1n);

  await send({ purpose: "rent", call, repeatable: true }, stop.signal);
  await send({ purpose: "rent", call, repeatable: true }, stop.signal);
  assert.equal(await balance(), 3n);

  // As if the key's transaction had been mined and had reverted.
  const refused = {
    ...sender,
    record: (key: string) =>
      key.endsWith("#0")
        ? { ...sender.record(key)!, failure: { code: "TRANSACTION_REVERTED" } as never }
        : sender.record(key),
  };
  const third = await createSend(refused)({ purpose: "gift", call }, stop.signal);
  assert.notEqual(third.hash, first.hash);
  assert.equal(await balance(), 4n);
});
