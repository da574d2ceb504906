/** What the node tells its operator: `/v1/status` and the metrics. Nothing here is secret before the reveal. */
import { NodeStatus, nameOf } from "@hydrogen/protocol";
import type { Hex } from "@hydrogen/std";
import type { Metrics } from "@hydrogen/telemetry";
import type { NodeConfig } from "./config.ts";
import type { Engine, EngineState } from "./engine/engine.ts";
import { type Journal, type Round, roundId } from "./journal.ts";
import type { Desired } from "./membership.ts";
import type { Reconciler } from "./reconciler.ts";

export type NodeStatusReport = {
  address: Hex;
  payoutAddress: Hex;
  desired: Desired;
  /** The chain's word, or undefined before it was heard. */
  status: string | undefined;
  /** What keeps the node from what is desired: `removed`, or `fundsMissing` with the amount. */
  membership: { kind: string; missingWei?: bigint } | undefined;
  gpuName: string | undefined;
  vramGb: number;
  stakeWei: bigint | undefined;
  earnedWei: bigint | undefined;
  balanceWei: bigint | undefined;
  weight: bigint | undefined;
  misses: number | undefined;
  engine: EngineState;
  /** Open rounds first, then the latest closed ones. */
  rounds: RoundReport[];
};

export type RoundReport = {
  taskId: bigint;
  round: number;
  /** What is due next; for a closed round how it ended. */
  state: string;
  failure: string | undefined;
  selectedAtMs: number;
  executedAtMs: number | undefined;
  committedAtMs: number | undefined;
  revealedAtMs: number | undefined;
  uploadedAtMs: number | undefined;
  closedAtMs: number | undefined;
};

const listedRounds = 20;

export function createStatus(deps: {
  config: NodeConfig;
  address: Hex;
  payout: Hex;
  engine: Engine;
  journal: Journal;
  reconciler: Reconciler;
  desired: () => Desired;
}): () => NodeStatusReport {
  const { config, journal, reconciler } = deps;
  return () => {
    const { node, membership, actions } = reconciler.view();
    const describe = (round: Round): RoundReport => {
      const action = actions.get(roundId(round));
      const due = action?.kind === "wait" ? `waiting for ${action.reason}` : action?.kind;
      return {
        taskId: round.taskId,
        round: round.round,
        state: round.ending ?? due ?? "selected",
        failure:
          round.outcome === undefined || round.outcome.kind === "result" ? undefined : round.outcome.code,
        selectedAtMs: round.selectedAtMs,
        executedAtMs: round.executedAtMs,
        committedAtMs: round.committedAtMs,
        revealedAtMs: round.revealedAtMs,
        uploadedAtMs: round.uploadedAtMs,
        closedAtMs: round.closedAtMs,
      };
    };
    return {
      address: deps.address,
      payoutAddress: deps.payout,
      desired: deps.desired(),
      status: node && nameOf(NodeStatus, node.status),
      membership,
      gpuName: node?.gpuName,
      vramGb: config.vramGb,
      stakeWei: node?.stakeWei,
      earnedWei: node?.earnedWei,
      balanceWei: node?.balanceWei,
      weight: node?.weight,
      misses: node?.misses,
      engine: deps.engine.state(),
      rounds: journal
        .recent(listedRounds)
        .sort((a, b) => Number(a.closedAtMs !== undefined) - Number(b.closedAtMs !== undefined))
        .map(describe),
    };
  };
}

export type NodeMetrics = ReturnType<typeof createNodeMetrics>;

export function createNodeMetrics(metrics: Metrics) {
  return {
    rounds: metrics.counter("node_rounds_total", "Rounds that ended, by how"),
    outcomes: metrics.counter("node_outcomes_total", "Runs of tasks, by what came of them"),
    runSeconds: metrics.histogram(
      "node_run_seconds",
      "Duration of a run",
      [0.5, 1, 2, 5, 10, 20, 60, 120, 300],
    ),
    earnedCnx: metrics.gauge("node_earned_cnx", "Earnings on chain that are not withdrawn yet"),
    stakeCnx: metrics.gauge("node_stake_cnx", "Stake on chain"),
    misses: metrics.gauge("node_misses", "Deadlines missed in a row"),
    engineCrashes: metrics.gauge("node_engine_crashes", "Engine processes that ended unasked"),
  };
}
