import assert from "node:assert/strict";
import { test } from "node:test";
import { TaskStatus, Verdict } from "@hydrogen/protocol";
import type { Hex } from "@hydrogen/std";
import type { ChainTask } from "./chain-task.ts";
import { nextAction, type Outcome, type RoundMemory, type Situation } from "./next-action.ts";

const self: Hex = "0x00000000000000000000000000000000000000aA";
const b: Hex = "0x00000000000000000000000000000000000000bb";
const c: Hex = "0x00000000000000000000000000000000000000cc";
const { None, Committed, Result, Error: ErrorVerdict, Missed } = Verdict;

const commitBy = 1300;
const revealBy = 1400;
const uploadBy = 1500;
const uploadEnd = 1620;

const result: Outcome = { kind: "result", result: "0x0102030405060708", filesDigest: "0x00", fileCount: 1 };
const badArgs: Outcome = { kind: "error", errorClass: 1, code: "ARGS_INVALID" };
const crashed = (retryAtSec?: number): Outcome => ({
  kind: "failed",
  failureClass: "execution",
  code: "ENGINE_PROCESS_CRASHED",
  retryAtSec,
});

type Case = Omit<Partial<Situation>, "task" | "memory"> & {
  task?: Partial<ChainTask>;
  memory?: Partial<RoundMemory> | null;
};

function situation({ task, memory, ...rest }: Case): Situation {
  return {
    self,
    nowSec: 1000,
    held: true,
    available: false,
    pendingSinceSec: 0,
    jitter: 0.5,
    ...rest,
    memory:
      memory === null ? undefined : { round: 0, hasArgs: true, outcome: result, uploaded: false, ...memory },
    task: {
      id: 7n,
      taskType: 0,
      taskHash: "0x00",
      queueSec: 600,
      status: TaskStatus.Executing,
      nodes: [self, b, c],
      verdicts: [None, None, None],
      commitDeadlineSec: commitBy,
      revealFromSec: 0,
      revealDeadlineSec: 0,
      uploadDeadlineSec: 0,
      uploadEndSec: 0,
      resultRound: 0,
      agreed: [false, false, false],
      ...task,
    },
  };
}

/** "kind" or, for a wait, "wait until" with the second. */
function brief(case_: Case): string {
  const action = nextAction(situation(case_));
  return action.kind === "wait" ? `wait until ${action.untilSec ?? "a change"}` : action.kind;
}

function table(
  name: string,
  rows: readonly (readonly [says: string, situation: Case, expected: string])[],
): void {
  for (const [says, case_, expected] of rows)
    test(`${name}: ${says}`, () => assert.equal(brief(case_), expected));
}

const pending = {
  task: { status: TaskStatus.Pending },
  memory: null,
  available: true,
  pendingSinceSec: 1000,
};
table("a pending task", [
  ["is left to its creator at first", { ...pending, nowSec: 1000 }, "wait until 1003.5"],
  ["is still left a moment before the patience ends", { ...pending, nowSec: 1003.4 }, "wait until 1003.5"],
  ["is drawn when nobody else did", { ...pending, nowSec: 1003.5 }, "draw"],
  ["is drawn earlier by a node with less jitter", { ...pending, nowSec: 1002, jitter: 0 }, "draw"],
  [
    "is left alone by a node that could not be drawn",
    { ...pending, nowSec: 1010, available: false },
    "wait until 1600",
  ],
  [
    "is no longer drawn when its time in the queue is over",
    { ...pending, nowSec: 1600 },
    "wait until 1602.5",
  ],
  ["is ended then, so that its creator gets the fee back", { ...pending, nowSec: 1602.5 }, "cancelOverdue"],
  [
    "is ended by a node that could not be drawn, too",
    { ...pending, nowSec: 1602.5, available: false },
    "cancelOverdue",
  ],
  [
    "that was drawn before a reorganisation waits for the next draw",
    { ...pending, memory: {} },
    "wait until a change",
  ],
]);

table("a task without a share for this node", [
  ["that does not exist is closed", { task: { status: TaskStatus.None } }, "done"],
  ["drawn for others is closed", { memory: null }, "done"],
  ["whose round went to another node is closed", { task: { nodes: [b, self, c] } }, "done"],
  [
    "still recognises its own address in other letters",
    { task: { nodes: [self.toLowerCase() as Hex, b, c] } },
    "commit",
  ],
]);

table("before the commitment", [
  ["args are fetched first", { memory: { hasArgs: false, outcome: undefined } }, "fetchArgs"],
  ["then the task is executed", { memory: { outcome: undefined } }, "execute"],
  ["a result is committed", {}, "commit"],
  ["an error of the task's own is committed", { memory: { outcome: badArgs } }, "commit"],
  ["a result is committed in the last second", { nowSec: commitBy - 1 }, "commit"],
  [
    "a failure of this node's own is tried again in time",
    { memory: { outcome: crashed(1010) }, nowSec: 1010 },
    "execute",
  ],
  ["but not at once", { memory: { outcome: crashed(1010) }, nowSec: 1009 }, "wait until 1010"],
  ["a hopeless failure stays silent", { memory: { outcome: crashed() } }, `wait until ${commitBy}`],
  [
    "a try after the deadline is not worth it",
    { memory: { outcome: crashed(commitBy) } },
    `wait until ${commitBy}`,
  ],
  [
    "nothing starts after the deadline",
    { memory: { outcome: undefined }, nowSec: commitBy },
    "wait until 1302.5",
  ],
  ["an overdue task is ended after the jitter", { nowSec: commitBy + 2.5 }, "cancelOverdue"],
  [
    "one that was released is left to the others",
    { task: { verdicts: [Missed, Committed, Committed] } },
    `wait until ${commitBy}`,
  ],
]);

const alone = { verdicts: [Committed, None, None] };
const two = { verdicts: [Committed, Committed, None], revealFromSec: 1110, revealDeadlineSec: 1170 };
table("after the commitment", [
  ["the first waits for the others", { task: alone }, `wait until ${commitBy}`],
  ["alone at the deadline it waits a moment", { task: alone, nowSec: commitBy }, "wait until 1302.5"],
  ["alone after the deadline it ends the task", { task: alone, nowSec: commitBy + 3 }, "cancelOverdue"],
  ["two wait for the grace period", { task: two, nowSec: 1109 }, "wait until 1110"],
  ["two reveal when the grace period ends", { task: two, nowSec: 1110 }, "reveal"],
  ["nobody revealed: the task is ended", { task: two, nowSec: 1172.5 }, "cancelOverdue"],
  [
    "a lost outcome cannot be revealed",
    { task: two, nowSec: 1110, memory: { outcome: undefined } },
    "wait until 1170",
  ],
]);

const opened = {
  status: TaskStatus.Revealing,
  verdicts: [Committed, Committed, Committed],
  revealDeadlineSec: revealBy,
} as const;
const late = { ...opened, verdicts: [Missed, Result, Committed] } as const;
table("while reveals are open", [
  ["a result is revealed", { task: opened, nowSec: 1301 }, "reveal"],
  ["an error is revealed", { task: opened, memory: { outcome: badArgs } }, "reveal"],
  ["too late it is not", { task: opened, nowSec: revealBy }, "wait until 1402.5"],
  ["then the phase is ended", { task: opened, nowSec: revealBy + 2.5 }, "cancelOverdue"],
  [
    "a lost outcome waits for the deadline",
    { task: opened, memory: { outcome: undefined } },
    `wait until ${revealBy}`,
  ],
  [
    "revealed, it waits for the others",
    { task: { ...opened, verdicts: [Result, Committed, Committed] } },
    `wait until ${revealBy}`,
  ],
  [
    "an error revealed waits for the others too",
    { task: { ...opened, verdicts: [ErrorVerdict, Committed, Committed] } },
    `wait until ${revealBy}`,
  ],
  [
    "others that never reveal are cancelled",
    { task: { ...opened, verdicts: [Result, Committed, Committed] }, nowSec: revealBy + 2.5 },
    "cancelOverdue",
  ],
  ["whoever missed the commitment leaves them to the others", { task: late }, `wait until ${revealBy}`],
  ["and ends them if none of these does", { task: late, nowSec: revealBy + 2.5 }, "cancelOverdue"],
]);

const success = {
  status: TaskStatus.Uploading,
  verdicts: [Result, Result, Result],
  agreed: [true, true, true],
  revealDeadlineSec: revealBy,
  uploadDeadlineSec: uploadBy,
  uploadEndSec: uploadEnd,
} as const;
const helper = { ...success, resultRound: 1 };
table("when two results agree", [
  ["the result node uploads", { task: success }, "upload"],
  ["and reports what the relay has", { task: success, memory: { uploaded: true } }, "reportUploaded"],
  ["and still may when it is late", { task: success, nowSec: uploadBy + 1 }, "upload"],
  ["but not after the end", { task: success, nowSec: uploadEnd }, "wait until 1622.5"],
  ["nobody uploaded: the task is ended", { task: success, nowSec: uploadEnd + 2.5 }, "cancelOverdue"],
  [
    "a result node without its files leaves it to others",
    { task: success, memory: { outcome: undefined } },
    `wait until ${uploadEnd}`,
  ],
  ["another agreeing node waits", { task: helper }, "wait until 1502.5"],
  ["and takes over after the deadline", { task: helper, nowSec: uploadBy + 2.5 }, "upload"],
  ["and reports it", { task: helper, nowSec: uploadBy + 3, memory: { uploaded: true } }, "reportUploaded"],
  [
    "a node that disagreed leaves it to them",
    { task: { ...helper, agreed: [false, true, true] } },
    `wait until ${uploadEnd}`,
  ],
  [
    "so does one that reported an error",
    { task: { ...helper, verdicts: [ErrorVerdict, Result, Result] } },
    `wait until ${uploadEnd}`,
  ],
  [
    "so does one that missed",
    { task: { ...helper, verdicts: [Missed, Result, Result] } },
    `wait until ${uploadEnd}`,
  ],
  [
    "and any of them ends the task that nobody uploads for",
    { task: { ...helper, verdicts: [Missed, Result, Result] }, nowSec: uploadEnd + 2.5 },
    "cancelOverdue",
  ],
  ["the third still reveals", { task: { ...helper, verdicts: [Committed, Result, Result] } }, "reveal"],
  [
    "a third that is late is released",
    { task: { ...helper, verdicts: [Committed, Result, Result] }, nowSec: revealBy + 2.5 },
    "cancelOverdue",
  ],
]);

const over = { status: TaskStatus.Done, revealDeadlineSec: revealBy } as const;
const thirdSilent = { ...over, verdicts: [Result, Result, Committed] } as const;
const neverUploaded = { ...over, status: TaskStatus.Aborted, verdicts: [Committed, Result, Missed] } as const;
table("a task that is over", [
  ["is closed", { task: { ...over, verdicts: [Result, Result, Result] } }, "done"],
  ["is closed when a deadline was missed", { task: { ...over, verdicts: [Missed, Result, Result] } }, "done"],
  ["is closed when aborted", { task: { status: TaskStatus.Aborted, resultRound: 3 } }, "done"],
  [
    "is closed when too few committed to ever reveal",
    { task: { status: TaskStatus.Aborted, verdicts: [Committed, Missed, Missed], resultRound: 3 } },
    "done",
  ],
  ["still takes the third reveal", { task: { ...over, verdicts: [Committed, Result, Result] } }, "reveal"],
  ["still takes the third reveal when nobody uploaded", { task: neverUploaded }, "reveal"],
  ["waits for another's third reveal", { task: thirdSilent }, `wait until ${revealBy}`],
  ["and for a moment more", { task: thirdSilent, nowSec: revealBy }, "wait until 1402.5"],
  ["and settles it if it never comes", { task: thirdSilent, nowSec: revealBy + 2.5 }, "cancelOverdue"],
  [
    "is left to be settled if the chain no longer holds the node",
    { task: { ...over, verdicts: [Committed, Result, Result] }, held: false },
    `wait until ${revealBy}`,
  ],
]);

test("decides for every combination of status, verdicts, memory and time", () => {
  const kinds = new Map<string, number>();
  const outcomes = [undefined, result, badArgs, crashed(), crashed(1250)];
  const times = [1000, 1200, 1299, 1300, 1310, 1399, 1401, 1410, 1499, 1510, 1630, 9999];
  for (const status of Object.values(TaskStatus))
    for (const mine of Object.values(Verdict))
      for (const other of Object.values(Verdict))
        for (const outcome of outcomes)
          for (const nowSec of times)
            for (const uploaded of [false, true])
              for (const resultRound of [0, 1]) {
                const action = nextAction(
                  situation({
                    nowSec,
                    memory: { outcome, uploaded, hasArgs: outcome !== undefined },
                    task: {
                      ...success,
                      revealFromSec: 1110,
                      status,
                      verdicts: [mine, other, other],
                      resultRound,
                    },
                  }),
                );
                kinds.set(action.kind, (kinds.get(action.kind) ?? 0) + 1);
                if (action.kind === "wait" && action.untilSec !== undefined)
                  assert.ok(action.untilSec > nowSec);
                if (action.kind === "commit") assert.ok(nowSec < commitBy && mine !== Committed);
                if (action.kind === "reveal") assert.ok(mine === Committed && nowSec < revealBy);
                if (action.kind === "cancelOverdue") assert.ok(nowSec > revealBy);
                if (action.kind === "done") assert.ok(!isUnsettled(status, [mine, other]), "share in escrow");
                if (action.kind === "upload") assert.ok(outcome?.kind === "result" && mine === Result);
                if (action.kind === "commit" || action.kind === "reveal")
                  assert.ok(
                    outcome?.kind === "result" || outcome?.kind === "error",
                    "only an outcome is sworn to",
                  );
              }
  assert.deepEqual([...kinds.keys()].sort(), [
    "cancelOverdue",
    "commit",
    "done",
    "execute",
    "fetchArgs",
    "reportUploaded",
    "reveal",
    "upload",
    "wait",
  ]);
});

function isUnsettled(status: TaskStatus, verdicts: readonly Verdict[]): boolean {
  const isOver = status === TaskStatus.Done || status === TaskStatus.Aborted;
  return status !== TaskStatus.None && (!isOver || verdicts.includes(Committed));
}
