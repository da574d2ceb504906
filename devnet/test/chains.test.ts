import assert from "node:assert/strict";
import { test } from "node:test";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";
import { argsFor, assertBooksBalance, clientOf, network, verifiedImage } from "./support.ts";

test("the network works on a chain that makes blocks by the clock", async (t) => {
  const devnet = await network(t, { blockTimeSec: 1 });
  const client = clientOf(devnet);
  const { receipt } = await verifiedImage(client, await argsFor(client, "a red apple", 7));
  assert.equal(receipt.status, "Done");
  await assertBooksBalance(devnet.chain);
});

test("the network works on somebody else's chain, knowing its RPC URL and nothing more", async (t) => {
  const deployerKey = generatePrivateKey();
  const foreign = await startEmbeddedChain({
    chainId: 4_242,
    blockTimeSec: 0.5,
    alloc: { [privateKeyToAddress(deployerKey)]: 10n ** 21n },
  });
  t.after(() => foreign.close());
  const devnet = await network(t, { chain: { rpcUrl: foreign.url, deployerKey } });
  assert.equal(devnet.network.chainId, 4_242);
  const client = clientOf(devnet);
  const { receipt } = await verifiedImage(client, await argsFor(client, "a cat", 1));
  assert.equal(receipt.chainId, 4_242);
  await assertBooksBalance(devnet.chain);
});
