/** For this package's tests: a deployed network on the embedded chain, with senders for its accounts. */
import type { TestContext } from "node:test";
import { type Chain, connectChain } from "./chain.ts";
import { deployNetwork } from "./deploy.ts";
import { memoryOutbox } from "./outbox.ts";
import { createSender, type Sender } from "./sender.ts";
import { accounts, startTestChain, type TestChain } from "./testing.ts";

export type TestNetwork = TestChain & {
  chain: Chain;
  /** Of the account that deployed the network and holds all CNX. */
  sender: Sender;
};

export async function startTestNetwork(t: Pick<TestContext, "after">): Promise<TestNetwork> {
  const testChain = await startTestChain(t);
  const sender = createSender({ chain: testChain.rpc, account: accounts[0]!, outbox: memoryOutbox() });
  const addresses = await deployNetwork({ rpc: testChain.rpc, sender, pool: accounts[3]!.address });
  const chain = await connectChain({ rpcUrl: testChain.url, addresses, pollMs: 20 });
  t.after(chain.close);
  return { ...testChain, chain, sender };
}
