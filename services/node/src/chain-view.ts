/** Reads the chain in the node's own terms. */
import type { Chain } from "@hydrogen/chain";
import { type NodeStatus, similar, type TaskStatus, TaskType, Verdict } from "@hydrogen/protocol";
import { type Clock, equalBytes, equalHex, type Hex, hexToBytes } from "@hydrogen/std";
import type { ChainTask } from "./chain-task.ts";
import type { NodeView } from "./reconciler.ts";

export type ChainView = {
  readTask(taskId: bigint): Promise<ChainTask>;
  readNode(): Promise<NodeView>;
};

const parametersLifetimeMs = 60_000;

/** @param payout where the operator wants earnings to go */
export function createChainView(chain: Chain, self: Hex, payout: Hex, clock: Clock): ChainView {
  let known: { parameters: Promise<Parameters>; untilMs: number } | undefined;
  const parameters = (): Promise<Parameters> => {
    if (known === undefined || clock.nowMs() >= known.untilMs) {
      known = { parameters: chain.task.getParameters(), untilMs: clock.nowMs() + parametersLifetimeMs };
      known.parameters.catch(() => {
        known = undefined;
      });
    }
    return known.parameters;
  };
  return {
    readTask: async (taskId) => {
      const [info, current] = await Promise.all([chain.task.getTask(taskId), parameters()]);
      return taskOf(info, current);
    },
    readNode: async () => {
      const [info, balanceWei, requiredStakeWei] = await Promise.all([
        chain.node.getNodeInfo(self),
        chain.token.balanceOf(self),
        chain.node.stakeAmount(),
      ]);
      return {
        status: info.status as NodeStatus,
        taskId: info.taskId,
        stakeWei: info.stakeWei,
        earnedWei: info.earnedWei,
        weight: info.weight,
        misses: Number(info.misses),
        gpuName: info.gpu.name,
        payoutIsSet: equalHex(isZero(info.payout) ? self : info.payout, payout),
        balanceWei,
        requiredStakeWei,
      };
    },
  };
}

type TaskInfo = Awaited<ReturnType<Chain["task"]["getTask"]>>;
/** Of tasks created now; a task keeps those of its creation, so what is computed here may be off, and is then refused. */
type Parameters = Awaited<ReturnType<Chain["task"]["getParameters"]>>;

function taskOf(info: TaskInfo, { queueSec, uploadSec, distanceThreshold }: Parameters): ChainTask {
  const results = info.results.map(hexToBytes);
  const uploadDeadlineSec = Number(info.uploadDeadline);
  return {
    id: info.id,
    taskType: Number(info.taskType),
    taskHash: info.taskHash,
    status: info.status as TaskStatus,
    queueSec: Number(queueSec),
    nodes: info.nodes,
    verdicts: info.verdicts as readonly Verdict[],
    commitDeadlineSec: Number(info.commitDeadline),
    revealFromSec: Number(info.revealFrom),
    revealDeadlineSec: Number(info.revealDeadline),
    uploadDeadlineSec,
    uploadEndSec: uploadDeadlineSec === 0 ? 0 : uploadDeadlineSec + Number(uploadSec),
    resultRound: Number(info.resultRound),
    agreed: results.map((result, round) =>
      results.some(
        (other, otherRound) =>
          otherRound !== round &&
          info.verdicts[round] === Verdict.Result &&
          info.verdicts[otherRound] === Verdict.Result &&
          agree(info.taskType, result, other, Number(distanceThreshold)),
      ),
    ),
  };
}

function agree(taskType: bigint, a: Uint8Array, b: Uint8Array, threshold: number): boolean {
  return Number(taskType) === TaskType.GPT ? equalBytes(a, b) : similar(a, b, threshold);
}

function isZero(address: Hex): boolean {
  return /^0x0*$/.test(address);
}
