/** Builds a task's receipt from the chain alone: whatever it says, anyone with an RPC can check. */
import { type Chain, getReceipt, type HydrogenEvent, nodeAbi, taskAbi, tokenAbi } from "@hydrogen/chain";
import {
  nameOf,
  type Receipt,
  type ReceiptRound,
  type ReceiptTransaction,
  roundsPerTask,
  TaskStatus,
  Verdict,
} from "@hydrogen/protocol";
import { equalHex, type Hex, isHydrogenError } from "@hydrogen/std";
import { decodeFunctionData } from "viem";

/** Providers refuse larger ranges; pages shrink by themselves where they refuse these. */
const pageBlocks = 2_000n;

/**
 * All events of one task, in chain order.
 *
 * @param fromBlock the block it was created in; default that of the contracts' deployment
 * @throws the chain's errors
 */
export async function taskEvents(
  chain: Chain,
  taskId: bigint,
  fromBlock: bigint = chain.addresses.deployedBlock,
): Promise<HydrogenEvent[]> {
  const headBlock = await chain.blockNumber();
  const events: HydrogenEvent[] = [];
  let page = pageBlocks;
  for (let from = fromBlock; from <= headBlock; ) {
    const toBlock = from + page > headBlock ? headBlock : from + page - 1n;
    try {
      events.push(...(await chain.getLogs({ fromBlock: from, toBlock, taskId })));
      from = toBlock + 1n;
    } catch (error) {
      if (!isHydrogenError(error, "CHAIN_RPC_ERROR") || toBlock === from) throw error;
      page = (toBlock - from + 1n) / 2n;
    }
  }
  return events;
}

/**
 * @param stagesMs how long each stage took, as the application saw it
 * @param fromBlock as in `taskEvents`
 * @throws the chain's errors
 */
export async function buildReceipt(
  chain: Chain,
  taskId: bigint,
  stagesMs: Record<string, number>,
  fromBlock?: bigint,
): Promise<Receipt> {
  const task = await chain.task.getTask(taskId);
  const events = await taskEvents(chain, taskId, fromBlock);
  const hashes = [...new Set(events.map(({ transactionHash }) => transactionHash))];
  const calls = await Promise.all(hashes.map((hash) => readCall(chain, hash)));
  const named = <Name extends HydrogenEvent["name"]>(name: Name) =>
    events.filter((event): event is Extract<HydrogenEvent, { name: Name }> => event.name === name);
  const success = named("TaskSuccess")[0];
  const uploaded = named("TaskResultUploaded")[0];
  const aborted = named("TaskAborted")[0];
  const disclosed = named("TaskResultDisclosed");
  const uploader = uploaded === undefined ? success?.args.resultNode : uploaded.args.node;

  const rounds = named("TaskCreated").map(({ args: { round, selectedNode } }): ReceiptRound => {
    const byNode = <Event extends { args: { node: Hex } }>(list: readonly Event[]): Event | undefined =>
      list.find(({ args }) => equalHex(args.node, selectedNode));
    const reveal = byNode(disclosed);
    const report = byNode(named("TaskErrorReported"));
    return {
      round: Number(round),
      node: selectedNode,
      commitment: byNode(named("TaskResultCommitted"))?.args.commitment ?? null,
      verdict: nameOf(Verdict, task.verdicts[Number(round)]!) ?? "None",
      result: reveal?.args.result ?? null,
      filesDigest: reveal?.args.filesDigest ?? null,
      errorClass: report === undefined ? null : Number(report.args.errorClass),
      salt:
        calls.find(({ transaction }) => transaction.hash === (reveal ?? report)?.transactionHash)?.salt ??
        null,
      paymentWei: named("TaskNodeSuccess")
        .filter(({ args }) => equalHex(args.node, selectedNode))
        .reduce((sum, { args }) => sum + args.feeWei, 0n),
      slashed: byNode(named("TaskNodeSlashed")) !== undefined,
    };
  });

  const transactions = calls.map(({ transaction }) => transaction);
  return {
    taskId,
    taskHash: task.taskHash,
    taskType: Number(task.taskType),
    chainId: chain.chainId,
    addresses: { token: chain.addresses.token, node: chain.addresses.node, task: chain.addresses.task },
    creator: task.creator,
    feeWei: task.feeWei,
    refundedWei: named("TaskRefunded").reduce((sum, { args }) => sum + args.amountWei, 0n),
    status: nameOf(TaskStatus, task.status) ?? "None",
    abortReason: aborted?.args.reason ?? null,
    nodes: rounds.sort((a, b) => a.round - b.round).slice(0, roundsPerTask),
    result: success?.args.result ?? null,
    resultNode: success?.args.resultNode ?? null,
    filesDigest:
      disclosed.find(({ args }) => uploader !== undefined && equalHex(args.node, uploader))?.args
        .filesDigest ?? null,
    transactions,
    gasTotal: transactions.reduce((sum, { gasUsed }) => sum + gasUsed, 0n),
    stagesMs,
  };
}

async function readCall(
  chain: Chain,
  hash: Hex,
): Promise<{ transaction: ReceiptTransaction; salt: Hex | null }> {
  const [call, receipt] = await Promise.all([
    chain.request({ method: "eth_getTransactionByHash", params: [hash] }),
    getReceipt(chain, hash),
  ]);
  const { name, salt } = decodeCall(call?.input ?? "0x");
  return {
    transaction: {
      name,
      hash,
      from: call?.from ?? "0x0000000000000000000000000000000000000000",
      gasUsed: receipt?.gasUsed ?? 0n,
    },
    salt,
  };
}

/** The function that a transaction calls, and the salt if it is a reveal. */
function decodeCall(input: Hex): { name: string; salt: Hex | null } {
  try {
    const call = decodeFunctionData({ abi: [...taskAbi, ...nodeAbi, ...tokenAbi], data: input });
    if (call.functionName === "discloseTaskResult")
      return { name: call.functionName, salt: call.args[4] as Hex };
    if (call.functionName === "reportTaskError")
      return { name: call.functionName, salt: call.args[3] as Hex };
    return { name: call.functionName, salt: null };
  } catch {
    return { name: "unknown", salt: null }; // called through another contract
  }
}
