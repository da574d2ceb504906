import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeStatus } from "@hydrogen/protocol";
import { type Desired, type MembershipSituation, nextMembership } from "./membership.ts";

const { Quit, Available, Busy, PendingPause, PendingQuit, Paused } = NodeStatus;
const joined: MembershipSituation = {
  desired: "running",
  status: Available,
  joinedBefore: true,
  balanceWei: 0n,
  requiredStakeWei: 400n,
  earnedWei: 0n,
  withdrawThresholdWei: 100n,
  payoutIsSet: true,
};
const kind = (change: Partial<MembershipSituation>) => nextMembership({ ...joined, ...change }).kind;

const rows: [says: string, change: Partial<MembershipSituation>, expected: string][] = [
  ["joins with enough CNX", { status: Quit, joinedBefore: false, balanceWei: 400n }, "join"],
  ["asks for what is missing", { status: Quit, joinedBefore: false, balanceWei: 399n }, "fundsMissing"],
  ["stays out after it was removed", { status: Quit, balanceWei: 400n }, "removed"],
  ["stays out when its operator wants that", { status: Quit, desired: "stopped" }, "none"],
  ["does not join only to pause", { status: Quit, joinedBefore: false, desired: "paused" }, "none"],
  ["rests while all is well", {}, "none"],
  ["rests while it works", { status: Busy }, "none"],
  ["pauses when asked", { desired: "paused" }, "pause"],
  ["pauses when asked at work", { desired: "paused", status: Busy }, "pause"],
  ["waits for a pause to take effect", { desired: "paused", status: PendingPause }, "none"],
  ["takes back a pause that waits for the end of a task", { status: PendingPause }, "resume"],
  ["leaves instead of pausing", { desired: "stopped", status: PendingPause }, "quit"],
  ["stays paused", { desired: "paused", status: Paused }, "none"],
  ["resumes", { status: Paused }, "resume"],
  ["leaves", { desired: "stopped" }, "quit"],
  ["leaves from a pause", { desired: "stopped", status: Paused }, "quit"],
  ["waits for its leave", { desired: "stopped", status: PendingQuit }, "none"],
  ["keeps small earnings on chain", { earnedWei: 99n }, "none"],
  ["withdraws at the threshold", { earnedWei: 100n }, "withdraw"],
  ["withdraws everything after it left", { earnedWei: 1n, desired: "stopped", status: Quit }, "withdraw"],
  ["sets the payout address before it withdraws", { earnedWei: 100n, payoutIsSet: false }, "setPayout"],
  [
    "joins before it sets the payout address",
    { status: Quit, joinedBefore: false, balanceWei: 400n, payoutIsSet: false },
    "join",
  ],
];
for (const [says, change, expected] of rows)
  test(`a node ${says}`, () => assert.equal(kind(change), expected));

test("names the missing CNX to the wei", () => {
  const action = nextMembership({ ...joined, status: Quit, joinedBefore: false, balanceWei: 398n });
  assert.deepEqual(action, { kind: "fundsMissing", missingWei: 2n });
});

test("never joins against the operator's wish and never leaves without it", () => {
  for (const desired of ["running", "paused", "stopped"] satisfies Desired[])
    for (const status of Object.values(NodeStatus))
      for (const joinedBefore of [false, true]) {
        const action = kind({ desired, status, joinedBefore, balanceWei: 400n });
        if (action === "join") assert.ok(desired === "running" && status === Quit && !joinedBefore);
        if (action === "quit") assert.equal(desired, "stopped");
        if (action === "pause") assert.equal(desired, "paused");
      }
});
