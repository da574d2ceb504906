import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bytesToHex, type Hex } from "@hydrogen/std";
import { textDigest } from "./canonical.ts";
import { commitment, errorDigest, filesDigest, keccak256, resultDigest, taskHash } from "./hashes.ts";
import { TaskType } from "./ids.ts";
import { imagesResult } from "./phash.ts";
import { formatReceipt, parseReceipt, type Receipt, type ReceiptRound } from "./receipt.ts";
import { verifyReceipt } from "./verify-receipt.ts";

const pngs = new URL("../../../test-vectors/protocol/phash/png/", import.meta.url);
const readPng = (name: string) => new Uint8Array(readFileSync(new URL(name, pngs)));
const files = [readPng("rgb8.png"), readPng("p8.png")];
const taskArgs = '{"prompt":"a red apple"}';
const address = (digit: string): Hex => `0x${digit.repeat(40)}`;
const taskId = 2n ** 60n;

function round(index: number, result: Hex, digest: Hex): ReceiptRound {
  const node = address(String(index + 1));
  const salt = keccak256(Uint8Array.of(index));
  const own = commitment({ taskId, round: index, node, resultDigest: resultDigest(result, digest), salt });
  return {
    round: index,
    node,
    commitment: own,
    verdict: "Result",
    result,
    filesDigest: digest,
    errorClass: null,
    salt,
    paymentWei: 10n * 10n ** 18n,
    slashed: false,
  };
}

function goodReceipt(): Receipt {
  const result = bytesToHex(imagesResult(files));
  const digest = filesDigest(files);
  const gas = [150_000n, 90_000n, 200_000n];
  return {
    taskId,
    taskHash: taskHash(taskArgs),
    taskType: TaskType.SD,
    chainId: 31337,
    addresses: { token: address("a"), node: address("b"), task: address("c") },
    creator: address("d"),
    feeWei: 30n * 10n ** 18n,
    refundedWei: 0n,
    status: "Done",
    abortReason: null,
    nodes: [0, 1, 2].map((index) => round(index, result, digest)),
    result,
    resultNode: address("1"),
    filesDigest: digest,
    transactions: gas.map((gasUsed, i) => ({
      name: "createTask",
      hash: keccak256(Uint8Array.of(i)),
      from: address("d"),
      gasUsed,
    })),
    gasTotal: 440_000n,
    stagesMs: { executing: 1234.5, revealing: 80 },
  };
}

const evidence = { taskArgs, files };
const paths = (receipt: Receipt, given = evidence) => verifyReceipt(receipt, given).map(({ path }) => path);

test("finds nothing wrong with an honest receipt, its args and its files", () => {
  assert.deepEqual(verifyReceipt(goodReceipt(), evidence), []);
  assert.deepEqual(verifyReceipt(goodReceipt()), []);
});

test("survives JSON with every amount intact", () => {
  const receipt = goodReceipt();
  assert.deepEqual(parseReceipt(formatReceipt(receipt)), receipt);
  assert.match(formatReceipt(receipt), /"feeWei": "30000000000000000000"/);
});

test("names the first fault of a malformed receipt", () => {
  const json: object = JSON.parse(formatReceipt(goodReceipt()));
  const cases: [path: string, value: unknown][] = [
    ["taskId", undefined],
    ["taskId", 5],
    ["feeWei", "-1"],
    ["feeWei", "1e3"],
    ["taskHash", "0x12"],
    ["addresses.task", "0x12"],
    ["status", "toString"],
    ["nodes[1].verdict", "Maybe"],
    ["nodes[2].round", 3],
    ["nodes[0].slashed", "no"],
    ["nodes", {}],
    ["transactions[0].gasUsed", null],
    ["stagesMs.executing", "1"],
    ["stagesMs", []],
  ];
  for (const [path, value] of cases) {
    const damaged = structuredClone(json);
    const keys = path.split(/[.[\]]+/).filter(Boolean);
    const last = keys.pop()!;
    const holder = keys.reduce((at, key) => (at as Record<string, object>)[key]!, damaged);
    (holder as Record<string, unknown>)[last] = value;
    assert.throws(
      () => parseReceipt(JSON.stringify(damaged)),
      (error: Error & { code?: string }) =>
        error.code === "RECEIPT_INVALID" && error.message.includes(`${path}:`),
      path,
    );
  }
  for (const text of ["", "{", "null", "[]", "7"])
    assert.throws(() => parseReceipt(text), { code: "RECEIPT_INVALID" });
});

test("notices other args and other files", () => {
  assert.deepEqual(paths(goodReceipt(), { taskArgs: `${taskArgs} `, files }), ["taskHash"]);
  assert.deepEqual(paths(goodReceipt(), { taskArgs, files: files.toReversed() }), ["filesDigest", "result"]);
  assert.deepEqual(paths(goodReceipt(), { taskArgs, files: [files[0]!] }), ["filesDigest", "result"]);
  assert.deepEqual(paths(goodReceipt(), { taskArgs, files: [new Uint8Array(9)] }), ["filesDigest", "files"]);
});

test("notices a commitment that commits to something else, unless the salt is unknown", () => {
  const receipt = goodReceipt();
  receipt.nodes[1]!.salt = keccak256("0xff");
  assert.deepEqual(paths(receipt), ["nodes[1].commitment"]);
  receipt.nodes[1]!.salt = null;
  assert.deepEqual(paths(receipt), []);
  receipt.nodes[1]!.commitment = null;
  assert.deepEqual(paths(receipt), ["nodes[1].commitment"]);
});

test("accepts the slashed liar and notices payments that do not fit", () => {
  const receipt = goodReceipt();
  const liar = round(2, `0x${"55".repeat(16)}`, keccak256("0x55"));
  receipt.nodes[2] = { ...liar, paymentWei: 0n, slashed: true };
  receipt.refundedWei = 10n * 10n ** 18n;
  assert.deepEqual(paths(receipt), []);
  receipt.nodes[2].paymentWei = 1n;
  assert.deepEqual(paths(receipt), ["nodes[2].paymentWei", "feeWei"]);
  receipt.nodes[2].paymentWei = 0n;
  receipt.nodes[1]!.slashed = true;
  assert.deepEqual(paths(receipt), ["nodes[1].slashed"]);
});

test("accepts a result node that missed its upload and was replaced by another that agreed", () => {
  const receipt = goodReceipt();
  receipt.nodes[0]!.verdict = "Missed";
  receipt.nodes[0]!.paymentWei = 0n;
  receipt.nodes[1]!.paymentWei += 10n * 10n ** 18n;
  assert.deepEqual(paths(receipt), []);
  receipt.nodes[0]!.verdict = "Committed";
  assert.deepEqual(paths(receipt), ["nodes[0].verdict"]);
  receipt.nodes[0]!.verdict = "Result";
  receipt.nodes[0]!.filesDigest = null;
  assert.deepEqual(paths(receipt), ["nodes[0].verdict"]);
});

test("checks the class that a round reported as an error", () => {
  const receipt = goodReceipt();
  const { node, salt } = receipt.nodes[2]!;
  receipt.nodes[2] = {
    ...receipt.nodes[2]!,
    verdict: "Error",
    result: null,
    filesDigest: null,
    errorClass: 2,
    paymentWei: 0n,
    slashed: true,
    commitment: commitment({ taskId, round: 2, node, resultDigest: errorDigest(2), salt: salt! }),
  };
  receipt.refundedWei = 10n * 10n ** 18n;
  assert.deepEqual(paths(receipt), []);
  receipt.nodes[2]!.errorClass = 1;
  assert.deepEqual(paths(receipt), ["nodes[2].commitment"]);
});

test("wants two agreeing nodes, distinct ones, and a result of the node that is named", () => {
  const receipt = goodReceipt();
  receipt.resultNode = address("9");
  assert.deepEqual(paths(receipt), ["resultNode"]);
  const same = goodReceipt();
  same.nodes[1]!.node = same.nodes[0]!.node;
  same.nodes[1]!.salt = null;
  assert.deepEqual(paths(same), ["nodes"]);
  const alone = goodReceipt();
  for (const index of [1, 2]) {
    const other = round(index, `0x${(index === 1 ? "55" : "c3").repeat(16)}`, keccak256("0x55"));
    alone.nodes[index] = { ...other, paymentWei: 0n };
  }
  alone.refundedWei = 20n * 10n ** 18n;
  assert.deepEqual(paths(alone), ["result"]);
  assert.deepEqual(paths({ ...goodReceipt(), result: null, resultNode: null }), ["result", "filesDigest"]);
});

test("notices wrong sums", () => {
  assert.deepEqual(paths({ ...goodReceipt(), gasTotal: 1n }), ["gasTotal"]);
  assert.deepEqual(paths({ ...goodReceipt(), refundedWei: 1n }), ["feeWei"]);
});

test("accepts an aborted task that returned everything", () => {
  const receipt: Receipt = {
    ...goodReceipt(),
    status: "Aborted",
    abortReason: "Task queue timeout",
    nodes: [],
    result: null,
    resultNode: null,
    filesDigest: null,
    refundedWei: 30n * 10n ** 18n,
  };
  assert.deepEqual(verifyReceipt(receipt, { taskArgs }), []);
});

test("compares the digest of a GPT task's text, whatever its JSON looks like", () => {
  const response = { model: "m", choices: [{ index: 0 }] };
  const file = new TextEncoder().encode(JSON.stringify(response, null, 2));
  const result = textDigest(response);
  const digest = filesDigest([file]);
  const receipt: Receipt = {
    ...goodReceipt(),
    taskType: TaskType.GPT,
    result,
    filesDigest: digest,
    nodes: [0, 1, 2].map((index) => round(index, result, digest)),
  };
  assert.deepEqual(paths(receipt, { taskArgs, files: [file] }), []);
  assert.deepEqual(paths(receipt, { taskArgs, files: [file, file] }), ["filesDigest", "files"]);
});
