/** First start: deploys the contracts and hands out CNX. Interrupted at any point, the next start completes it. */
import {
  type AddressBook,
  type Chain,
  connectChain,
  connectRpc,
  createSender,
  transferCall,
} from "@hydrogen/chain";
import { chainMigrations, deployNetwork, sqliteOutbox } from "@hydrogen/chain/node";
import type { Clock } from "@hydrogen/std";
import { openDatabase } from "@hydrogen/storage";
import type { Logger } from "@hydrogen/telemetry";
import type { LocalAccount } from "viem";
import type { Layout } from "./layout.ts";

/** What each wallet gets at the first start, in wei. */
export type Grants = ReadonlyMap<`0x${string}`, bigint>;

export type BootstrapOptions = {
  layout: Layout;
  rpcUrl: string;
  /** Deploys, owns the contracts, and holds the CNX that exist from the start. */
  deployer: LocalAccount;
  pool: `0x${string}`;
  grants: Grants;
  /** Native currency that each of these wallets gets from the deployer; none on a chain whose genesis gave it. */
  nativeGrants: Grants;
  parameters: Readonly<Record<string, bigint>>;
};

export async function bootstrap(
  options: BootstrapOptions,
  deps: { clock: Clock; log: Logger; signal: AbortSignal },
): Promise<{ addresses: AddressBook; chain: Chain }> {
  const { layout, rpcUrl, deployer } = options;
  const db = openDatabase(layout.deployment, chainMigrations);
  const done = new AbortController();
  try {
    const rpc = await connectRpc({ rpcUrl }, deps);
    const sender = createSender(
      { chain: rpc, account: deployer, outbox: sqliteOutbox(db) },
      { ...deps, signal: done.signal },
    );
    sender.resume();
    const addresses = await deployNetwork(
      { sender, rpc, pool: options.pool, parameters: options.parameters },
      deps,
    );
    const chain = await connectChain({ rpcUrl, addresses }, deps);
    for (const [address, amountWei] of options.nativeGrants)
      await sender.submit({ key: `native grant:${address}`, call: transferCall(address, amountWei) });
    for (const [address, amountWei] of options.grants)
      await sender.submit({ key: `grant:${address}`, call: chain.calls.token.transfer(address, amountWei) });
    await sender.idle(deps.signal);
    return { addresses, chain };
  } finally {
    done.abort();
    db.close();
  }
}
