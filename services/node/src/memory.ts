/** What the operator wants, kept in the journal so that it holds across restarts. */
import type { NodeCommand } from "./api.ts";
import type { Journal } from "./journal.ts";
import type { Desired } from "./membership.ts";

export type MembershipMemory = {
  desired(): Desired;
  /** Whether the node has joined and was not told to leave since: out of the network now means that it was removed. */
  joinedBefore(): boolean;
  noteJoined(): void;
  command(command: NodeCommand): void;
};

const wanted: Record<NodeCommand, Desired> = { pause: "paused", resume: "running", quit: "stopped" };

export function createMembershipMemory(journal: Journal): MembershipMemory {
  const desired = () => (journal.setting("desired") ?? "running") as Desired;
  return {
    desired,
    joinedBefore: () => journal.setting("joined") === "yes",
    noteJoined: () => journal.setSetting("joined", "yes"),
    command: (command) => {
      journal.setSetting("desired", wanted[command]);
      // A stake is paid again only when the operator says so after seeing that the node is out.
      if (command !== "pause") journal.setSetting("joined", "no");
    },
  };
}
