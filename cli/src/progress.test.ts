import assert from "node:assert/strict";
import { test } from "node:test";
import type { BridgeTask } from "@hydrogen/sdk";
import { barLine, fractionOf } from "./progress.ts";

function taskIn(status: BridgeTask["status"], steps: number[] = []): BridgeTask {
  return {
    id: "a",
    status,
    task_type: 0,
    task_id: "1",
    task_hash: "0x",
    num_images: 1,
    rounds: steps.map((step, round) => ({ round, node: "0x", stage: "denoising", step, steps: 20 })),
    stages_ms: {},
    created_at: "",
    updated_at: "",
    error: null,
  };
}

test("progress grows through the stages and counts the second fastest node's steps", () => {
  const fractions = [
    taskIn("accepted"),
    taskIn("creating"),
    taskIn("drawing"),
    taskIn("executing"),
    taskIn("executing", [20, 5]),
    taskIn("executing", [20, 10, 0]),
    taskIn("revealing"),
    taskIn("verifying"),
    taskIn("done"),
  ].map(fractionOf);
  assert.deepEqual(
    fractions,
    fractions.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(fractions).size, fractions.length);
  assert.equal(fractions.at(-1), 1);
});

test("the line shows each node's step and never exceeds the terminal", () => {
  assert.match(barLine(taskIn("executing", [3, 20]), 100), /% {2}three nodes are painting {2}3\/20 20\/20$/);
  assert.equal(barLine(taskIn("executing", [3, 20, 7]), 40).length, 39);
});
