import assert from "node:assert/strict";
import { test } from "node:test";
import { agreedReveals, foldTask, roundOf, type StoredEvent } from "./task-view.ts";

const [creator, a, b, c] = ["0xc0", "0xa0", "0xb0", "0xc1"] as const;
const hash = `0x${"11".repeat(32)}`;

function events(...steps: [name: string, args: Record<string, string>][]): StoredEvent[] {
  return steps.map(([name, args], logIndex) => ({
    taskId: 7,
    blockNumber: 3 + logIndex,
    logIndex,
    name,
    args,
  }));
}

const pending: [string, Record<string, string>] = [
  "TaskPending",
  { taskType: "0", creator, taskHash: hash, dataHash: hash, vramLimit: "8", feeWei: "30000000000000000000" },
];
const drawn = [a, b, c].map((selectedNode, round): [string, Record<string, string>] => [
  "TaskCreated",
  { creator, selectedNode, taskHash: hash, dataHash: hash, round: String(round) },
]);
const reveal = (node: string, result: string): [string, Record<string, string>] => [
  "TaskResultDisclosed",
  { node, result, filesDigest: `${result}f` },
];

test("knows nothing of a task before its creation", () => {
  assert.equal(foldTask([]), undefined);
  assert.equal(foldTask(events(...drawn)), undefined);
});

test("folds a life from creation to upload", () => {
  const status = (...more: [string, Record<string, string>][]) => foldTask(events(pending, ...more))?.status;
  const all: [string, Record<string, string>][] = [
    ...drawn,
    ["TaskResultCommitmentsReady", { revealDeadline: "9" }],
    reveal(a, "0x01"),
    reveal(b, "0x02"),
    ["TaskSuccess", { result: "0x01", resultNode: a }],
    ["TaskResultUploaded", { node: a, round: "0" }],
  ];
  assert.deepEqual(
    [0, 3, 4, 6, 7, 8].map((count) => status(...all.slice(0, count))),
    ["pending", "executing", "revealing", "revealing", "uploading", "done"],
  );
  const view = foldTask(events(pending, ...all))!;
  assert.equal(view.createdBlock, 3);
  assert.equal(view.feeWei, 30n * 10n ** 18n);
  assert.equal(roundOf(view, b), 1);
  assert.equal(roundOf(view, creator), undefined);
});

test("accepts the reveals of agreeing nodes only, the result node's first", () => {
  const before = events(pending, ...drawn, reveal(a, "0x0a"), reveal(c, "0x0c"), reveal(b, "0x0b"));
  assert.deepEqual(agreedReveals(foldTask(before)!), []);
  const after = events(
    pending,
    ...drawn,
    reveal(a, "0x0a"),
    reveal(c, "0x0c"),
    reveal(b, "0x0b"),
    ["TaskNodeSlashed", { node: a }],
    ["TaskSuccess", { result: "0x0c", resultNode: c }],
  );
  assert.deepEqual(agreedReveals(foldTask(after)!), [
    { round: 2, node: c, result: "0x0c", filesDigest: "0x0cf" },
    { round: 1, node: b, result: "0x0b", filesDigest: "0x0bf" },
  ]);
});

test("keeps the reason of an abort", () => {
  const view = foldTask(events(pending, ["TaskAborted", { reason: "Task queue timeout" }]));
  assert.deepEqual([view?.status, view?.abortReason], ["aborted", "Task queue timeout"]);
});
