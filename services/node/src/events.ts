/** Events only wake the loop: what is due is read from the chain itself. */
import type { FollowHandler, HydrogenEvent } from "@hydrogen/chain";
import { equalHex, type Hex } from "@hydrogen/std";
import type { Reconciler } from "./reconciler.ts";

export function createWakeHandler(
  reconciler: Pick<Reconciler, "wake" | "notePending" | "isWatching">,
  self: Hex,
): FollowHandler {
  return {
    onEvents: () => undefined,
    onReorg: () => reconciler.wake(),
    onCommitted: ({ events }) => {
      for (const event of events) {
        if (event.name === "TaskPending") reconciler.notePending(event.args.taskId);
        else if (concerns(event, self) || isAbout(event, reconciler)) reconciler.wake();
      }
    },
  };
}

function concerns({ args }: HydrogenEvent, self: Hex): boolean {
  return Object.values(args).some((value) => typeof value === "string" && equalHex(value, self));
}

function isAbout({ args }: HydrogenEvent, reconciler: Pick<Reconciler, "isWatching">): boolean {
  return "taskId" in args && reconciler.isWatching(args.taskId);
}
