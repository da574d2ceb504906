import assert from "node:assert/strict";
import { test } from "node:test";
import type { HydrogenEvent } from "@hydrogen/chain";
import { filesDigest, imagesResult } from "@hydrogen/protocol";
import { bytesToHex, type Hex } from "@hydrogen/std";
import { picture as png } from "./testing/pictures.ts";
import { verifyFiles } from "./verify.ts";

const nodeA = "0x00000000000000000000000000000000000000aa";
const nodeB = "0x00000000000000000000000000000000000000bb";

function events(reveals: readonly { node: Hex; files: readonly Uint8Array[] }[]): HydrogenEvent[] {
  const revealed = reveals.map(({ node, files }) => ({
    name: "TaskResultDisclosed",
    args: {
      taskId: 1n,
      node,
      round: 0n,
      result: bytesToHex(imagesResult(files)),
      filesDigest: filesDigest(files),
    },
  }));
  const [first] = revealed;
  const success = {
    name: "TaskSuccess",
    args: { taskId: 1n, result: first!.args.result, resultNode: first!.args.node },
  };
  return [...revealed, success] as unknown as HydrogenEvent[];
}

const files = [png(3)];
const chain = events([
  { node: nodeA, files },
  { node: nodeB, files: [png(3, "made by B")] },
]);

test("accepts the files of either agreeing node, and says whose they are", () => {
  assert.equal(verifyFiles(chain, files), nodeA);
  assert.equal(verifyFiles(chain, [png(3, "made by B")]), nodeB);
});

test("refuses an image that looks the same but is not the one a node revealed", () => {
  assert.throws(() => verifyFiles(chain, [png(3, "slipped in by the relay")]), {
    code: "RESULT_NOT_VERIFIED",
  });
});

test("refuses the files of a node that did not agree", () => {
  const liar = [png(11)];
  const withLiar = [...events([{ node: nodeB, files: liar }]).slice(0, 1), ...chain];
  assert.throws(() => verifyFiles(withLiar, liar), { code: "RESULT_NOT_VERIFIED" });
});

test("refuses missing, surplus and reordered files, and a task without a result", () => {
  const two = [png(3), png(5)];
  const chainOfTwo = events([{ node: nodeA, files: two }]);
  assert.equal(verifyFiles(chainOfTwo, two), nodeA);
  for (const wrong of [[], two.slice(0, 1), [...two, png(3)], two.toReversed()])
    assert.throws(() => verifyFiles(chainOfTwo, wrong), { code: "RESULT_NOT_VERIFIED" });
  assert.throws(() => verifyFiles(chain.slice(0, 2), files), { code: "RESULT_NOT_VERIFIED" });
});

test("refuses a reveal whose pHash is not that of its own files", () => {
  const lying = events([{ node: nodeA, files: [png(11)] }]).map((event) =>
    event.name === "TaskResultDisclosed"
      ? ({ ...event, args: { ...event.args, filesDigest: filesDigest(files) } } as HydrogenEvent)
      : event,
  );
  assert.throws(() => verifyFiles(lying, files), { code: "RESULT_NOT_VERIFIED" });
});
