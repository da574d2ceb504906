/** Checks a receipt against itself, the task args and the files. That it says what the chain says is for the reader of a chain. */
import { equalBytes, equalHex, type Hex, hexToBytes, utf8Decode } from "@hydrogen/std";
import { textDigest } from "./canonical.ts";
import { commitment, errorDigest, filesDigest, resultDigest, taskHash } from "./hashes.ts";
import { type ErrorClass, roundsPerTask, TaskType } from "./ids.ts";
import { defaultDistanceThreshold, imagesResult, similar } from "./phash.ts";
import type { Receipt, ReceiptRound } from "./receipt.ts";

/** What does not hold, and where. */
export type ReceiptProblem = { path: string; problem: string };

export type ReceiptEvidence = {
  /** The exact text of the task args, if at hand. */
  taskArgs?: string | Uint8Array;
  /** The result files in order, if at hand. */
  files?: readonly Uint8Array[];
  /** The chain's parameter; default 5. */
  distanceThreshold?: number;
};

/** @returns Everything that does not hold; an empty list if nothing was found. Never throws for a bad receipt or file. */
export function verifyReceipt(receipt: Receipt, evidence: ReceiptEvidence = {}): ReceiptProblem[] {
  return [
    ...argsProblems(receipt, evidence),
    ...roundProblems(receipt),
    ...outcomeProblems(receipt, evidence),
    ...fileProblems(receipt, evidence),
    ...sumProblems(receipt),
  ];
}

function* argsProblems(
  { taskHash: expected }: Receipt,
  { taskArgs }: ReceiptEvidence,
): Generator<ReceiptProblem> {
  if (taskArgs !== undefined && !equalHex(taskHash(taskArgs), expected)) {
    yield { path: "taskHash", problem: "is not the hash of the task args" };
  }
}

function* roundProblems({ taskId, nodes, status }: Receipt): Generator<ReceiptProblem> {
  if (
    nodes.length !== roundsPerTask &&
    status !== "Pending" &&
    !(status === "Aborted" && nodes.length === 0)
  ) {
    yield { path: "nodes", problem: `are not ${roundsPerTask}` };
  }
  if (new Set(nodes.map(({ node }) => node.toLowerCase())).size !== nodes.length) {
    yield { path: "nodes", problem: "are not distinct" };
  }
  for (const [i, one] of nodes.entries()) {
    const path = `nodes[${i}]`;
    if (one.round !== i) yield { path: `${path}.round`, problem: `is not ${i}` };
    const revealed = one.result !== null && one.filesDigest !== null;
    // A node that revealed a result and then failed to upload it ends as "Missed".
    if (revealed ? one.verdict !== "Result" && one.verdict !== "Missed" : one.verdict === "Result") {
      yield { path: `${path}.verdict`, problem: "does not go with the revealed result" };
    }
    const digest = revealedDigest(one);
    if (digest === undefined) continue;
    if (one.commitment === null) {
      yield { path: `${path}.commitment`, problem: "is missing though the round was revealed" };
    } else if (one.salt !== null) {
      const { round, node, salt } = one;
      const expected = commitment({ taskId, round, node, resultDigest: digest, salt });
      if (!equalHex(expected, one.commitment)) {
        yield { path: `${path}.commitment`, problem: "does not commit to what was revealed" };
      }
    }
  }
}

function* outcomeProblems(receipt: Receipt, evidence: ReceiptEvidence): Generator<ReceiptProblem> {
  const { result, resultNode, status, nodes } = receipt;
  if (result === null || resultNode === null) {
    if (status === "Done" || status === "Uploading")
      yield { path: "result", problem: `is missing though ${status}` };
    return;
  }
  const winner = nodes.find(({ node }) => equalHex(node, resultNode));
  if (winner?.result == null || !equalHex(winner.result, result)) {
    yield { path: "resultNode", problem: "did not reveal the result" };
  }
  const agreeing = agreeingRounds(receipt, evidence);
  if (agreeing.length < 2) yield { path: "result", problem: "is not what two nodes revealed" };
  for (const [i, one] of nodes.entries()) {
    if (agreeing.includes(one) && one.slashed)
      yield { path: `nodes[${i}].slashed`, problem: "though it agreed" };
    if (!agreeing.includes(one) && one.paymentWei > 0n) {
      yield { path: `nodes[${i}].paymentWei`, problem: "was paid without having agreed" };
    }
  }
}

function* fileProblems(receipt: Receipt, evidence: ReceiptEvidence): Generator<ReceiptProblem> {
  const { filesDigest: expected } = receipt;
  const uploader =
    expected === null
      ? undefined
      : agreeingRounds(receipt, evidence).find(
          (one) => one.filesDigest !== null && equalHex(one.filesDigest, expected),
        );
  if (expected !== null && !uploader)
    yield { path: "filesDigest", problem: "is not that of an agreeing node" };
  const { files } = evidence;
  if (files === undefined) return;
  if (expected === null || !equalHex(filesDigest(files), expected)) {
    yield { path: "filesDigest", problem: "is not that of the files" };
  }
  const actual = resultOfFiles(receipt.taskType, files);
  if (typeof actual === "string") yield { path: "files", problem: actual };
  else if (uploader?.result && !equalBytes(actual, hexToBytes(uploader.result))) {
    yield { path: "result", problem: "is not that of the files" };
  }
}

function* sumProblems({
  transactions,
  gasTotal,
  nodes,
  feeWei,
  refundedWei,
  status,
}: Receipt): Generator<ReceiptProblem> {
  if (transactions.reduce((sum, { gasUsed }) => sum + gasUsed, 0n) !== gasTotal) {
    yield { path: "gasTotal", problem: "is not the sum of the transactions' gas" };
  }
  const outWei = nodes.reduce((sum, { paymentWei }) => sum + paymentWei, refundedWei);
  const over = status === "Done" || status === "Aborted";
  if (over ? outWei !== feeWei : outWei > feeWei) {
    yield { path: "feeWei", problem: "is not the sum of payments and refund" };
  }
}

function agreeingRounds(
  { nodes, result, taskType }: Receipt,
  { distanceThreshold }: ReceiptEvidence,
): ReceiptRound[] {
  if (result === null) return [];
  const agreed = hexToBytes(result);
  return nodes.filter((one) => {
    if (one.result === null) return false;
    const own = hexToBytes(one.result);
    return taskType === TaskType.SD
      ? similar(own, agreed, distanceThreshold ?? defaultDistanceThreshold)
      : equalBytes(own, agreed);
  });
}

function revealedDigest({ verdict, result, filesDigest: files, errorClass }: ReceiptRound): Hex | undefined {
  if (result !== null && files !== null) return resultDigest(result, files);
  if (verdict === "Error" && errorClass !== null) return errorDigest(errorClass as ErrorClass);
  return undefined;
}

/** The result that the files amount to, or why there is none. */
function resultOfFiles(taskType: number, files: readonly Uint8Array[]): Uint8Array | string {
  try {
    if (taskType === TaskType.SD) return imagesResult(files);
    if (files.length !== 1) return "are not exactly one text";
    return hexToBytes(textDigest(JSON.parse(utf8Decode(files[0]!))));
  } catch (error) {
    return error instanceof Error ? error.message : "cannot be read";
  }
}
