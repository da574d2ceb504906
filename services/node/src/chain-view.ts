/** Reads the chain in the node's own terms. */
import type { Chain } from "@hydrogen/chain";
import { type NodeStatus, similar, TaskStatus, TaskType, Verdict } from "@hydrogen/protocol";
import { equalBytes, equalHex, type Hex, hexToBytes } from "@hydrogen/std";
import type { ChainTask } from "./chain-task.ts";
import type { NodeView } from "./reconciler.ts";

export type ChainView = {
  readTask(taskId: bigint): Promise<ChainTask>;
  readNode(): Promise<NodeView>;
};

/** @param payout where the operator wants earnings to go */
export function createChainView(chain: Chain, self: Hex, payout: Hex): ChainView {
  return {
    readTask: async (taskId) => taskOf(await chain.task.getTask(taskId)),
    readNode: async () => {
      const info = await chain.node.getNodeInfo(self);
      const [balanceWei, requiredStakeWei] = await Promise.all([
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

function taskOf(info: TaskInfo): ChainTask {
  const resultRound = Number(info.resultRound);
  const results = info.results.map(hexToBytes);
  const decided = info.status === TaskStatus.Uploading || info.status === TaskStatus.Done;
  return {
    id: info.id,
    taskType: Number(info.taskType),
    taskHash: info.taskHash,
    status: info.status as TaskStatus,
    nodes: info.nodes,
    verdicts: info.verdicts as readonly Verdict[],
    commitDeadlineSec: Number(info.commitDeadline),
    revealFromSec: Number(info.revealFrom),
    revealDeadlineSec: Number(info.revealDeadline),
    uploadDeadlineSec: Number(info.uploadDeadline),
    uploadEndSec: Number(info.uploadDeadline),
    resultRound,
    agreed: results.map(
      (result, round) =>
        decided &&
        info.verdicts[round] === Verdict.Result &&
        agree(info.taskType, results[resultRound]!, result),
    ),
  };
}

function agree(taskType: bigint, a: Uint8Array, b: Uint8Array): boolean {
  return Number(taskType) === TaskType.GPT ? equalBytes(a, b) : similar(a, b);
}

function isZero(address: Hex): boolean {
  return /^0x0*$/.test(address);
}
