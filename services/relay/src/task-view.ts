/** What the relay needs to know of a task, folded from the task's events in the order the chain emitted them. */
import type { Hex } from "@hydrogen/std";

/** An event of the Task contract; integers are decimal strings, addresses and hashes lower case. */
export type StoredEvent = {
  taskId: number;
  blockNumber: number;
  logIndex: number;
  name: string;
  args: Readonly<Record<string, string>>;
};

export type TaskStatus = "pending" | "executing" | "revealing" | "uploading" | "done" | "aborted";

export type RoundView = {
  node: Hex;
  /** What the node revealed, if it did. */
  reveal?: { result: Hex; filesDigest: Hex };
  /** The others agreed on something else. */
  slashed: boolean;
};

export type TaskView = {
  taskId: number;
  taskType: number;
  creator: Hex;
  taskHash: Hex;
  dataHash: Hex;
  vramLimit: number;
  feeWei: bigint;
  status: TaskStatus;
  createdBlock: number;
  /** By round; empty until the nodes are drawn. */
  rounds: readonly RoundView[];
  /** The round that two nodes' agreement made responsible for the upload. */
  resultRound?: number;
  abortReason?: string;
};

/** Undefined if the events do not begin with the task's creation. */
export function foldTask(events: readonly StoredEvent[]): TaskView | undefined {
  let view: TaskView | undefined;
  for (const event of events) view = apply(view, event);
  return view;
}

/** The round a node was selected for. */
export function roundOf(view: TaskView, address: string): number | undefined {
  const round = view.rounds.findIndex((each) => each?.node === address);
  return round === -1 ? undefined : round;
}

/** The reveals the chain accepted as the task's result, the result node's first. */
export function agreedReveals(view: TaskView): { round: number; node: Hex; result: Hex; filesDigest: Hex }[] {
  const { resultRound } = view;
  if (resultRound === undefined) return [];
  return view.rounds
    .flatMap(({ node, reveal, slashed }, round) => (reveal && !slashed ? [{ round, node, ...reveal }] : []))
    .sort((a, b) => Number(b.round === resultRound) - Number(a.round === resultRound));
}

function apply(
  view: TaskView | undefined,
  { taskId, blockNumber, name, args }: StoredEvent,
): TaskView | undefined {
  if (name === "TaskPending") {
    return {
      taskId,
      taskType: Number(args.taskType),
      creator: args.creator as Hex,
      taskHash: args.taskHash as Hex,
      dataHash: args.dataHash as Hex,
      vramLimit: Number(args.vramLimit),
      feeWei: BigInt(args.feeWei!),
      status: "pending",
      createdBlock: blockNumber,
      rounds: [],
    };
  }
  if (view === undefined) return undefined;
  switch (name) {
    case "TaskCreated": {
      const rounds = [...view.rounds];
      rounds[Number(args.round)] = { node: args.selectedNode as Hex, slashed: false };
      return { ...view, status: "executing", rounds };
    }
    case "TaskResultCommitmentsReady":
      return { ...view, status: "revealing" };
    case "TaskResultDisclosed":
      return withNode(view, args.node!, {
        reveal: { result: args.result as Hex, filesDigest: args.filesDigest as Hex },
      });
    case "TaskNodeSlashed":
      return withNode(view, args.node!, { slashed: true });
    case "TaskSuccess": {
      const resultRound = roundOf(view, args.resultNode!);
      return { ...view, status: "uploading", ...(resultRound === undefined ? {} : { resultRound }) };
    }
    case "TaskResultUploaded":
      return { ...view, status: "done" };
    case "TaskAborted":
      return { ...view, status: "aborted", abortReason: args.reason! };
    default:
      return view;
  }
}

function withNode(view: TaskView, node: string, change: Partial<RoundView>): TaskView {
  return { ...view, rounds: view.rounds.map((each) => (each.node === node ? { ...each, ...change } : each)) };
}
