/** `NodeStatus` of the Node contract, as the ABI decodes it. */
export const nodeStatus = {
  quit: 0,
  available: 1,
  busy: 2,
  pendingPause: 3,
  pendingQuit: 4,
  paused: 5,
} as const;
export type NodeStatus = (typeof nodeStatus)[keyof typeof nodeStatus];

/** `TaskStatus` of the Task contract, as the ABI decodes it. */
export const taskStatus = {
  none: 0,
  pending: 1,
  executing: 2,
  revealing: 3,
  uploading: 4,
  done: 5,
  aborted: 6,
} as const;
export type TaskStatus = (typeof taskStatus)[keyof typeof taskStatus];

/** `Verdict` of the Task contract: what a round has said so far. */
export const verdict = { none: 0, committed: 1, result: 2, error: 3, missed: 4 } as const;
export type Verdict = (typeof verdict)[keyof typeof verdict];

/** The `taskType` argument of `createTask`. */
export const taskType = { sd: 0n, gpt: 1n } as const;
export type TaskType = (typeof taskType)[keyof typeof taskType];
