/** The books of a whole network, from the chain alone. */
import type { Chain } from "@hydrogen/chain";

export type Books = {
  /** CNX that exist. */
  readonly supplyWei: bigint;
  /** CNX of all accounts that ever held some; equals the supply. */
  readonly heldWei: bigint;
  /** What the Node contract holds. */
  readonly vaultWei: bigint;
  /** Stakes and earnings it owes; the rest is the escrow of tasks under way. */
  readonly owedWei: bigint;
};

/** Reads every event since the deployment: for networks of a development machine's size. */
export async function readBooks(chain: Chain): Promise<Books> {
  const toBlock = await chain.blockNumber();
  const events = await chain.getLogs({ fromBlock: chain.addresses.deployedBlock, toBlock });
  const { token, node } = chain.at(toBlock);
  const holders = new Set(
    events.flatMap((event) => (event.name === "Transfer" ? [event.args.from, event.args.to] : [])),
  );
  const joined = new Set(events.flatMap((event) => (event.name === "NodeJoined" ? [event.args.node] : [])));
  const balances = await Promise.all([...holders].map((holder) => token.balanceOf(holder)));
  const infos = await Promise.all([...joined].map((address) => node.getNodeInfo(address)));
  return {
    supplyWei: await token.totalSupply(),
    heldWei: sum(balances),
    vaultWei: await token.balanceOf(chain.addresses.node),
    owedWei: sum(infos.map(({ stakeWei, earnedWei }) => stakeWei + earnedWei)),
  };
}

function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, amount) => total + amount, 0n);
}
