/** First start: deploys the contracts and hands out CNX. Interrupted at any point, the next start completes it. */
import { type AddressBook, type Chain, connectChain, connectRpc, createSender } from "@hydrogen/chain";
import { chainMigrations, deployNetwork, sqliteOutbox } from "@hydrogen/chain/node";
import type { Clock } from "@hydrogen/std";
import { openDatabase } from "@hydrogen/storage";
import type { Logger } from "@hydrogen/telemetry";
import type { LocalAccount } from "viem";
import type { Layout } from "./layout.ts";

/** CNX, in wei, that each wallet gets at the first start. */
export type Grants = ReadonlyMap<`0x${string}`, bigint>;

export type BootstrapOptions = {
  layout: Layout;
  rpcUrl: string;
  chainId: number;
  deployer: LocalAccount;
  pool: `0x${string}`;
  grants: Grants;
  parameters: Readonly<Record<string, bigint>>;
};

export async function bootstrap(
  options: BootstrapOptions,
  deps: { clock: Clock; log: Logger; signal: AbortSignal },
): Promise<{ addresses: AddressBook; chain: Chain }> {
  const { layout, rpcUrl, deployer } = options;
  const db = openDatabase(layout.deployment, chainMigrations);
  try {
    const rpc = await connectRpc({ rpcUrl, chainId: options.chainId }, deps);
    const sender = createSender({ chain: rpc, account: deployer, outbox: sqliteOutbox(db) }, deps);
    sender.resume();
    const addresses = await deployNetwork(
      { sender, rpc, pool: options.pool, parameters: options.parameters },
      deps,
    );
    const chain = await connectChain({ rpcUrl, addresses }, deps);
    for (const [address, amountWei] of options.grants)
      await sender.send({ key: `grant:${address}`, call: chain.calls.token.transfer(address, amountWei) });
    await sender.idle(deps.signal);
    return { addresses, chain };
  } finally {
    db.close();
  }
}
