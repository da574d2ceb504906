/** The bridge's tasks and budgets in SQLite. A task that was accepted is never lost, and its fee is counted once. */
import type { BridgeTask, BridgeTaskStatus } from "@hydrogen/sdk";
import type { SerializedError } from "@hydrogen/std";
import type { Database, Migration, Row } from "@hydrogen/storage";
import { bridgeError } from "./errors.ts";

export const bridgeMigrations: readonly Migration[] = [
  {
    id: "bridge-1",
    sql: `
      CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        api_key TEXT NOT NULL,
        idempotency_key TEXT,
        task_type INTEGER NOT NULL,
        task_args TEXT NOT NULL,
        task_hash TEXT NOT NULL,
        vram_limit INTEGER NOT NULL,
        num_images INTEGER NOT NULL,
        fee_wei TEXT NOT NULL,
        status TEXT NOT NULL,
        task_id TEXT,
        stages_ms TEXT NOT NULL DEFAULT '{}',
        receipt TEXT,
        error TEXT,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        UNIQUE (api_key, idempotency_key)
      ) STRICT;
      CREATE INDEX tasks_unfinished ON tasks (created_ms) WHERE status NOT IN ('done', 'failed', 'cancelled');
    `,
  },
  {
    id: "bridge-2",
    sql: `
      CREATE TABLE spending (api_key TEXT PRIMARY KEY, spent_wei TEXT NOT NULL) STRICT;
      CREATE INDEX tasks_kept ON tasks (updated_ms) WHERE task_args <> '';
    `,
  },
];

export type StoredTask = {
  readonly id: string;
  readonly apiKey: string;
  readonly taskType: number;
  readonly argsText: string;
  readonly taskHash: string;
  readonly vramLimit: number;
  readonly numImages: number;
  readonly feeWei: bigint;
  readonly status: BridgeTaskStatus;
  readonly taskId: bigint | undefined;
  readonly stagesMs: Readonly<Record<string, number>>;
  readonly receipt: string | undefined;
  readonly error: SerializedError | undefined;
  readonly createdMs: number;
  readonly updatedMs: number;
};

export type NewTask = Pick<
  StoredTask,
  "id" | "apiKey" | "taskType" | "argsText" | "taskHash" | "vramLimit" | "numImages" | "feeWei"
> & { idempotencyKey: string | undefined };

export type TaskChange = Partial<Pick<StoredTask, "status" | "taskId" | "receipt" | "error" | "feeWei">>;

export type TaskStore = {
  /**
   * Accepts a task if the key's budget covers its fee; with a known idempotency key, returns the task of then.
   * @throws BUDGET_EXHAUSTED, IDEMPOTENCY_CONFLICT
   */
  accept(task: NewTask, budgetWei: bigint): { task: StoredTask; isNew: boolean };
  get(id: string): StoredTask | undefined;
  /** Those not final yet, oldest first. */
  unfinished(): StoredTask[];
  /** Applies the change; a new status also closes the books on the time spent in the old one. */
  update(id: string, change: TaskChange): StoredTask;
  /** CNX that the key's tasks have cost or may still cost, in wei. */
  spentWei(apiKey: string): bigint;
  /** Ended tasks whose args are still kept and that did not change since `beforeMs`; at most 100. */
  expired(beforeMs: number): StoredTask[];
  /** Forgets the args of an ended task; its hash, its receipt and its place in the books stay. */
  forgetArgs(id: string): void;
};

export function createTaskStore(db: Database, nowMs: () => number): TaskStore {
  const get = (id: string) => {
    const row = db.get("SELECT * FROM tasks WHERE id = ?", id);
    return row === undefined ? undefined : taskOf(row);
  };
  /** The running total; counted out of the tasks where there is none yet. */
  const spentWei = (apiKey: string): bigint => {
    const total = db.get("SELECT spent_wei FROM spending WHERE api_key = ?", apiKey);
    if (total !== undefined) return BigInt(total.spent_wei as string);
    return db
      .all("SELECT fee_wei FROM tasks WHERE api_key = ?", apiKey)
      .reduce((sum, row) => sum + BigInt(row.fee_wei as string), 0n);
  };
  /** Call before the task's row changes. */
  const spend = (apiKey: string, wei: bigint) =>
    db.run(
      "INSERT INTO spending (api_key, spent_wei) VALUES (?, ?) ON CONFLICT DO UPDATE SET spent_wei = excluded.spent_wei",
      apiKey,
      (spentWei(apiKey) + wei).toString(),
    );

  return {
    get,
    spentWei,
    unfinished: () =>
      db
        .all("SELECT * FROM tasks WHERE status NOT IN ('done', 'failed', 'cancelled') ORDER BY created_ms")
        .map(taskOf),
    accept: (task, budgetWei) =>
      db.transaction(() => {
        const known =
          task.idempotencyKey === undefined
            ? undefined
            : db.get(
                "SELECT * FROM tasks WHERE api_key = ? AND idempotency_key = ?",
                task.apiKey,
                task.idempotencyKey,
              );
        if (known !== undefined) {
          const before = taskOf(known);
          if (before.taskHash !== task.taskHash || before.taskType !== task.taskType)
            throw bridgeError("IDEMPOTENCY_CONFLICT", { id: before.id });
          return { task: before, isNew: false };
        }
        const leftWei = budgetWei - spentWei(task.apiKey);
        if (leftWei < task.feeWei) throw bridgeError("BUDGET_EXHAUSTED", { leftWei, feeWei: task.feeWei });
        spend(task.apiKey, task.feeWei);
        db.run(
          `INSERT INTO tasks (id, api_key, idempotency_key, task_type, task_args, task_hash, vram_limit, num_images,
             fee_wei, status, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'accepted', ?, ?)`,
          task.id,
          task.apiKey,
          task.idempotencyKey ?? null,
          task.taskType,
          task.argsText,
          task.taskHash,
          task.vramLimit,
          task.numImages,
          task.feeWei.toString(),
          nowMs(),
          nowMs(),
        );
        return { task: get(task.id)!, isNew: true };
      }),
    update: (id, change) =>
      db.transaction(() => {
        const task = get(id);
        if (task === undefined) throw bridgeError("TASK_NOT_FOUND", { id });
        const stagesMs = { ...task.stagesMs };
        const now = nowMs();
        if (change.status !== undefined && change.status !== task.status)
          stagesMs[task.status] = (stagesMs[task.status] ?? 0) + now - lastChangeMs(task);
        const next = { ...task, ...change };
        if (next.feeWei !== task.feeWei) spend(task.apiKey, next.feeWei - task.feeWei);
        db.run(
          "UPDATE tasks SET status = ?, task_id = ?, stages_ms = ?, receipt = ?, error = ?, fee_wei = ?, updated_ms = ? WHERE id = ?",
          next.status,
          next.taskId?.toString() ?? null,
          JSON.stringify(stagesMs),
          next.receipt ?? null,
          next.error === undefined ? null : JSON.stringify(next.error),
          next.feeWei.toString(),
          now,
          id,
        );
        return get(id)!;
      }),
    expired: (beforeMs) =>
      db
        .all(
          `SELECT * FROM tasks WHERE task_args <> '' AND updated_ms < ? AND status IN ('done', 'failed', 'cancelled')
           ORDER BY updated_ms LIMIT 100`,
          beforeMs,
        )
        .map(taskOf),
    forgetArgs: (id) => void db.run("UPDATE tasks SET task_args = '' WHERE id = ?", id),
  };
}

/** When the task entered its status: its creation plus all finished stages. */
function lastChangeMs(task: StoredTask): number {
  return task.createdMs + Object.values(task.stagesMs).reduce((sum, ms) => sum + ms, 0);
}

/** The task as the API shows it, less the live progress. */
export function taskView(task: StoredTask, rounds: BridgeTask["rounds"]): BridgeTask {
  return {
    id: task.id,
    status: task.status,
    task_type: task.taskType,
    task_id: task.taskId?.toString() ?? null,
    task_hash: task.taskHash,
    num_images: task.numImages,
    rounds,
    stages_ms: { ...task.stagesMs },
    created_at: new Date(task.createdMs).toISOString(),
    updated_at: new Date(task.updatedMs).toISOString(),
    error: task.error ?? null,
  };
}

function taskOf(row: Row): StoredTask {
  return {
    id: row.id as string,
    apiKey: row.api_key as string,
    taskType: row.task_type as number,
    argsText: row.task_args as string,
    taskHash: row.task_hash as string,
    vramLimit: row.vram_limit as number,
    numImages: row.num_images as number,
    feeWei: BigInt(row.fee_wei as string),
    status: row.status as BridgeTaskStatus,
    taskId: row.task_id === null ? undefined : BigInt(row.task_id as string),
    stagesMs: JSON.parse(row.stages_ms as string),
    receipt: (row.receipt as string | null) ?? undefined,
    error: row.error === null ? undefined : JSON.parse(row.error as string),
    createdMs: row.created_ms as number,
    updatedMs: row.updated_ms as number,
  };
}
