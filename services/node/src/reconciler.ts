/**
 * The loop of the node. Each pass reads the chain, asks the two pure functions (`nextAction`, `nextMembership`) what is
 * due, and hands that to the jobs. A pass holds no state of its own: it may be repeated, skipped or interrupted at will.
 */
import { NodeStatus, TaskStatus } from "@hydrogen/protocol";
import { type Clock, type Hex, isHydrogenError } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import type { ChainClock } from "./chain-clock.ts";
import type { ChainTask } from "./chain-task.ts";
import type { Jobs } from "./jobs.ts";
import { type Journal, type Round, roundId } from "./journal.ts";
import { type MembershipAction, type MembershipSituation, nextMembership } from "./membership.ts";
import type { MembershipMemory } from "./memory.ts";
import { type Action, nextAction } from "./next-action.ts";
import type { NodeMetrics } from "./status.ts";

/** What the chain says of this node. */
export type NodeView = Omit<MembershipSituation, "desired" | "joinedBefore" | "withdrawThresholdWei"> & {
  /** 0: none. */
  readonly taskId: bigint;
  readonly stakeWei: bigint;
  readonly weight: bigint;
  readonly misses: number;
  readonly gpuName: string;
};

export type ReconcilerDeps = {
  self: Hex;
  journal: Journal;
  clock: Clock;
  chainClock: ChainClock;
  jobs: Jobs;
  log: Logger;
  withdrawThresholdWei: bigint;
  /** Reads the newest block's timestamp, this node's entry, and tasks. */
  readHead: () => Promise<{ timestampSec: number }>;
  readNode: () => Promise<NodeView>;
  readTask: (taskId: bigint) => Promise<ChainTask>;
  performTask: (
    action: Action,
    task: ChainTask,
    round: Round | undefined,
    signal: AbortSignal,
  ) => Promise<void>;
  performMembership: (action: MembershipAction, signal: AbortSignal) => Promise<void>;
  membershipMemory: Pick<MembershipMemory, "desired" | "joinedBefore" | "noteJoined">;
  /** A number in [0, 1) for a task, the same whenever asked. */
  jitter: (taskId: bigint) => number;
  /** Crash points of the tests. */
  reach: (point: string) => Promise<void>;
  metrics: Pick<NodeMetrics, "rounds" | "earnedCnx" | "stakeCnx" | "misses" | "engineCrashes">;
  engineCrashes: () => number;
};

export type Reconciler = {
  /** Something may have changed. */
  wake(): void;
  /** A task waits to be drawn. */
  notePending(taskId: bigint): void;
  /** Tasks a log may be about, besides this node's own events. */
  isWatching(taskId: bigint): boolean;
  /** The last pass's view, for the operator. */
  view(): {
    node: NodeView | undefined;
    membership: MembershipAction | undefined;
    actions: ReadonlyMap<string, Action>;
  };
  /** Whether the last look at the chain succeeded. */
  isHealthy(): boolean;
  /** Runs passes until aborted. */
  run(signal: AbortSignal): Promise<void>;
};

/** Even without any event the chain is looked at this often. */
const longestSleepMs = 10_000;
/** A timer that fires a moment too early would only make another pass. */
const timerSlackMs = 20;

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { self, journal, clock, chainClock, jobs, log } = deps;
  const pendingSinceSec = new Map<bigint, number>();
  const watched = new Set<bigint>();
  let awake = Promise.withResolvers<void>();
  let node: NodeView | undefined;
  let membership: MembershipAction | undefined;
  let actions = new Map<string, Action>();
  let healthy = false;

  const decide = (id: string, task: ChainTask, round: Round | undefined): Action => {
    const action = nextAction({
      task,
      memory: round && {
        round: round.round,
        hasArgs: round.args !== undefined,
        outcome: round.outcome,
        uploaded: round.uploadedAtMs !== undefined,
      },
      self,
      nowSec: chainClock.nowSec(),
      held: node?.taskId === task.id,
      available: node?.status === NodeStatus.Available,
      pendingSinceSec: pendingSinceSec.get(task.id) ?? chainClock.nowSec(),
      jitter: deps.jitter(task.id),
    });
    actions.set(id, action);
    return action;
  };

  const notePending = (taskId: bigint): void => {
    if (!pendingSinceSec.has(taskId)) pendingSinceSec.set(taskId, chainClock.nowSec());
  };

  const handle = (
    id: string,
    action: Action,
    since: number,
    task: ChainTask,
    round: Round | undefined,
  ): void => {
    if (action.kind === "wait" || action.kind === "done") jobs.unwant(id);
    else jobs.want(id, action.kind, since, (signal) => deps.performTask(action, task, round, signal));
  };

  const passRounds = async (since: number): Promise<void> => {
    for (const round of journal.open()) {
      const id = roundId(round);
      const task = await deps.readTask(round.taskId);
      // The same id may be another task since a reorganisation.
      const action: Action =
        task.status !== TaskStatus.None && task.taskHash !== round.taskHash
          ? { kind: "done", reason: "the chain was reorganised" }
          : decide(id, task, round);
      handle(id, action, since, task, round);
      // A reorganisation took the draw away: it is everybody's again.
      if (task.status === TaskStatus.Pending && action.kind === "wait") notePending(task.id);
      if (action.kind !== "done") continue;
      await deps.reach("closing");
      journal.close(round, action.reason);
      actions.delete(id);
      deps.metrics.rounds.inc({ ending: action.reason });
      log.info("round closed", { task: round.taskId, round: round.round, reason: action.reason });
    }
  };

  const passPending = async (since: number): Promise<void> => {
    for (const taskId of pendingSinceSec.keys()) {
      const id = `pending/${taskId}`;
      const task = await deps.readTask(taskId);
      const action = decide(id, task, undefined);
      handle(id, action, since, task, undefined);
      if (action.kind !== "done") continue;
      pendingSinceSec.delete(taskId);
      actions.delete(id);
    }
  };

  const select = async (taskId: bigint): Promise<void> => {
    const task = await deps.readTask(taskId);
    const round = task.nodes.findIndex((address) => address.toLowerCase() === self.toLowerCase());
    if (round < 0) return;
    const key = { taskId, round, taskHash: task.taskHash };
    const known = journal.get(key);
    if (known !== undefined && known.closedAtMs === undefined) return;
    journal.select(key);
    log.info("selected for a task", { task: taskId, round });
    await deps.reach("selected");
  };

  const passMembership = (view: NodeView, since: number): void => {
    const memory = deps.membershipMemory;
    const isLeaving = view.status === NodeStatus.Quit || view.status === NodeStatus.PendingQuit;
    if (!isLeaving && memory.desired() !== "stopped" && !memory.joinedBefore()) memory.noteJoined();
    membership = nextMembership({
      ...view,
      desired: memory.desired(),
      joinedBefore: memory.joinedBefore(),
      withdrawThresholdWei: deps.withdrawThresholdWei,
    });
    const { kind } = membership;
    const action = membership;
    if (kind === "none" || kind === "removed" || kind === "fundsMissing") jobs.unwant("membership");
    else jobs.want("membership", kind, since, (signal) => deps.performMembership(action, signal));
  };

  const measure = (view: NodeView): void => {
    const cnx = (wei: bigint) => Number(wei) / 1e18;
    deps.metrics.earnedCnx.set(cnx(view.earnedWei));
    deps.metrics.stakeCnx.set(cnx(view.stakeWei));
    deps.metrics.misses.set(view.misses);
    deps.metrics.engineCrashes.set(deps.engineCrashes());
  };

  const pass = async (): Promise<void> => {
    const since = jobs.moment();
    const [head, view] = await Promise.all([deps.readHead(), deps.readNode()]);
    chainClock.observe(head.timestampSec);
    node = view;
    if (node.taskId !== 0n) await select(node.taskId);
    actions = new Map();
    await passRounds(since);
    await passPending(since);
    passMembership(node, since);
    measure(node);
    watched.clear();
    for (const round of journal.open()) watched.add(round.taskId);
  };

  const nextTimerMs = (): number => {
    const times = [clock.nowMs() + longestSleepMs];
    for (const action of actions.values())
      if (action.kind === "wait" && action.untilSec !== undefined)
        times.push(chainClock.toMs(action.untilSec) + timerSlackMs);
    const retryMs = jobs.nextRetryMs();
    if (retryMs !== undefined) times.push(retryMs);
    return Math.min(...times);
  };

  const rest = async (untilMs: number, signal: AbortSignal): Promise<void> => {
    const timer = new AbortController();
    const sleep = clock.sleep(Math.max(0, untilMs - clock.nowMs()), AbortSignal.any([signal, timer.signal]));
    sleep.catch(() => undefined);
    await Promise.race([awake.promise, sleep.catch(() => undefined)]);
    timer.abort();
  };

  return {
    wake: () => awake.resolve(),
    notePending: (taskId) => {
      notePending(taskId);
      awake.resolve();
    },
    isWatching: (taskId) => watched.has(taskId) || pendingSinceSec.has(taskId),
    view: () => ({ node, membership, actions }),
    isHealthy: () => healthy,
    run: async (signal) => {
      let failures = 0;
      while (!signal.aborted) {
        awake = Promise.withResolvers<void>();
        try {
          await pass();
          failures = 0;
          healthy = true;
        } catch (error) {
          if (signal.aborted) return;
          failures++;
          healthy = false;
          const level = isHydrogenError(error) && error.retryable && failures < 4 ? "info" : "warn";
          log[level]("could not look at the chain", { error, failures });
          await clock.sleep(Math.min(10_000, 250 * 2 ** failures), signal).catch(() => undefined);
          continue;
        }
        await rest(nextTimerMs(), signal);
      }
    },
  };
}
