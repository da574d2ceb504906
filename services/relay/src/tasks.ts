/** Tasks as the chain knows them: followed into the store, and asked for directly when that is too little. */
import type { Chain, FollowHandler, HydrogenEvent } from "@hydrogen/chain";
import { isHydrogenError } from "@hydrogen/std";
import { relayError } from "./errors.ts";
import type { Store } from "./store.ts";
import { foldTask, type StoredEvent, type TaskView } from "./task-view.ts";

export type Tasks = {
  /**
   * The task as far as the relay has followed the chain; if `enough` does not hold of that, as the chain has it now.
   * @throws RELAY_TASK_NOT_FOUND, RELAY_CHAIN_UNAVAILABLE
   */
  find(taskId: number, enough: (view: TaskView) => boolean): Promise<TaskView>;
};

/** Beyond this the relay is still reading history, and asking for the rest at once would be too much. */
const maxTailBlocks = 1_000n;

export function createTasks(deps: {
  store: Store;
  chain: Chain;
  /** The last block in the store. */
  position: () => { number: bigint } | undefined;
}): Tasks {
  const { store, chain, position } = deps;

  /** Events of blocks that are not followed yet. Never kept: a reorganisation may take them back. */
  const tail = async (taskId: number, followed: bigint): Promise<StoredEvent[]> => {
    const head = await chain.blockNumber();
    if (head <= followed || head - followed > maxTailBlocks) return [];
    const events = await chain.getLogs({ fromBlock: followed + 1n, toBlock: head });
    return events.flatMap((event) => toStored(event) ?? []).filter((event) => event.taskId === taskId);
  };

  return {
    find: async (taskId, enough) => {
      const stored = store.eventsOf(taskId);
      const followed = position()?.number ?? chain.addresses.deployedBlock - 1n;
      const known = foldTask(stored);
      if (known !== undefined && enough(known)) return known;
      try {
        const view = foldTask([...stored, ...(await tail(taskId, followed))]);
        if (view !== undefined) return view;
      } catch (error) {
        if (known === undefined) throw chainUnavailable(error);
        return known;
      }
      throw relayError("RELAY_TASK_NOT_FOUND", { taskId });
    },
  };
}

/** Keeps the store in step with the chain. Runs inside the follower's transactions. */
export function createTaskFollower(store: Store): FollowHandler {
  return {
    onEvents: ({ events }) => store.addEvents(events.flatMap((event) => toStored(event) ?? [])),
    onReorg: (toBlock) => void store.dropEventsAbove(Number(toBlock)),
  };
}

/** Undefined for events that are not a task's. */
export function toStored(event: HydrogenEvent): StoredEvent | undefined {
  if (event.contract !== "task" || !("taskId" in event.args)) return undefined;
  return {
    taskId: Number(event.args.taskId),
    blockNumber: Number(event.blockNumber),
    logIndex: event.logIndex,
    name: event.name,
    args: Object.fromEntries(Object.entries(event.args).map(([name, value]) => [name, plain(value)])),
  };
}

/** What a failed chain request is to the relay's clients. */
export function chainUnavailable(error: unknown): unknown {
  return isHydrogenError(error) && error.code.startsWith("CHAIN_")
    ? relayError("RELAY_CHAIN_UNAVAILABLE", {}, error)
    : error;
}

function plain(value: unknown): string {
  const text = String(value);
  return /^0x[0-9a-fA-F]*$/.test(text) ? text.toLowerCase() : text;
}
