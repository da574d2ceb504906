/**
 * Whether the node belongs to the network: a pure function of what the operator wants and what the chain says.
 * A node that was slashed out does not stake again by itself: its operator has to look first.
 */
import { NodeStatus } from "@hydrogen/protocol";

/** What the operator wants; kept in the journal, so that it holds across restarts. */
export type Desired = "running" | "paused" | "stopped";

export type MembershipSituation = {
  readonly desired: Desired;
  readonly status: NodeStatus;
  /** Whether the node has joined before without being told to leave since. */
  readonly joinedBefore: boolean;
  readonly balanceWei: bigint;
  /** What joining costs. */
  readonly requiredStakeWei: bigint;
  readonly earnedWei: bigint;
  readonly withdrawThresholdWei: bigint;
  /** Whether the chain's payout address is the configured one. */
  readonly payoutIsSet: boolean;
};

export type MembershipAction =
  | { readonly kind: "join" | "pause" | "resume" | "quit" | "withdraw" | "setPayout" }
  /** Not in the network against the operator's wish, and not coming back by itself. */
  | { readonly kind: "removed" }
  | { readonly kind: "fundsMissing"; readonly missingWei: bigint }
  | { readonly kind: "none" };

export function nextMembership(situation: MembershipSituation): MembershipAction {
  const { desired, status, earnedWei, withdrawThresholdWei } = situation;
  const change = statusChange(situation);
  if (change !== undefined) return change;
  if (!situation.payoutIsSet && (status !== NodeStatus.Quit || earnedWei > 0n)) return { kind: "setPayout" };
  const leaving = desired === "stopped" && status === NodeStatus.Quit;
  if (earnedWei > 0n && (earnedWei >= withdrawThresholdWei || leaving)) return { kind: "withdraw" };
  return { kind: "none" };
}

function statusChange(situation: MembershipSituation): MembershipAction | undefined {
  const { desired, status } = situation;
  switch (status) {
    case NodeStatus.Quit: {
      if (desired === "stopped") return undefined;
      if (situation.joinedBefore) return { kind: "removed" };
      if (desired === "paused") return undefined;
      const missingWei = situation.requiredStakeWei - situation.balanceWei;
      return missingWei > 0n ? { kind: "fundsMissing", missingWei } : { kind: "join" };
    }
    case NodeStatus.Available:
    case NodeStatus.Busy:
      if (desired === "running") return undefined;
      return { kind: desired === "paused" ? "pause" : "quit" };
    case NodeStatus.Paused:
      if (desired === "paused") return undefined;
      return { kind: desired === "running" ? "resume" : "quit" };
    case NodeStatus.PendingPause:
      // Takes effect when the task ends; until then it can be taken back.
      if (desired === "paused") return undefined;
      return { kind: desired === "running" ? "resume" : "quit" };
    case NodeStatus.PendingQuit:
      return undefined;
  }
}
