/** Carries out what `nextMembership` decided. Every one of these may be repeated after a crash at any point. */
import type { Chain } from "@hydrogen/chain";
import type { Hex } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import type { MembershipAction } from "./membership.ts";
import type { Send } from "./transactions.ts";

export type MembershipActionsDeps = {
  self: Hex;
  payout: Hex;
  vramGb: number;
  chain: Pick<Chain, "addresses" | "calls" | "token" | "node">;
  send: Send;
  /** The GPU name with the engine's fingerprint; starts the engine if need be. */
  gpuName: (signal: AbortSignal) => Promise<string>;
  log: Logger;
  reach: (point: string) => Promise<void>;
};

export function createMembershipActions(deps: MembershipActionsDeps) {
  const { chain, self, log, reach } = deps;
  const { calls } = chain;

  const join = async (signal: AbortSignal): Promise<void> => {
    const gpuName = await deps.gpuName(signal);
    const stakeWei = await chain.node.stakeAmount();
    if ((await chain.token.allowance(self, chain.addresses.node)) < stakeWei) {
      await transact("approve", calls.token.approve(chain.addresses.node, stakeWei), signal);
    }
    await transact("join", calls.node.join(gpuName, BigInt(deps.vramGb)), signal);
    log.info("joined the network", { gpuName, vramGb: deps.vramGb, stakeWei });
  };

  const transact = async (purpose: string, call: Parameters<Send>[0]["call"], signal: AbortSignal) => {
    await reach(`${purpose}:before`);
    const { hash } = await deps.send({ purpose, call, repeatable: true }, signal);
    await reach(`${purpose}:mined`);
    log.info(`${purpose} is on chain`, { hash });
  };

  return async (action: MembershipAction, signal: AbortSignal): Promise<void> => {
    switch (action.kind) {
      case "join":
        return join(signal);
      case "pause":
        return transact("pause", calls.node.pause(), signal);
      case "resume":
        return transact("resume", calls.node.resume(), signal);
      case "quit":
        return transact("quit", calls.node.quit(), signal);
      case "setPayout":
        return transact("setPayout", calls.node.setPayoutAddress(deps.payout), signal);
      case "withdraw":
        return transact("withdraw", calls.node.withdraw(), signal);
      default:
        return;
    }
  };
}
