/** Shows a task's way to its result on standard error: a bar that redraws itself on a terminal, a line per stage elsewhere. */
import type { BridgeTask, BridgeTaskStatus } from "@hydrogen/sdk";

export type TaskProgress = {
  show(task: BridgeTask): void;
  /** Ends the bar, so that other text can follow. */
  end(): void;
};

const stageTexts: Record<BridgeTaskStatus, string> = {
  accepted: "waiting its turn",
  creating: "creating the task on chain",
  uploading_args: "handing the prompt to the relay",
  drawing: "drawing three nodes",
  executing: "three nodes are painting",
  revealing: "comparing their results on chain",
  fetching: "fetching the image",
  verifying: "checking it against the chain",
  done: "verified",
  failed: "failed",
  cancelled: "cancelled",
};

/** How much of the whole each stage begins at, measured on a warm network; executing fills its part by steps. */
const stageStarts: Partial<Record<BridgeTaskStatus, number>> = {
  accepted: 0,
  creating: 0.02,
  uploading_args: 0.06,
  drawing: 0.1,
  executing: 0.15,
  revealing: 0.85,
  fetching: 0.92,
  verifying: 0.95,
  done: 1,
};

export function createTaskProgress(stream: NodeJS.WriteStream): TaskProgress {
  let lastStage: string | undefined;
  let drawn = false;
  return {
    show: (task) => {
      if (stream.isTTY) {
        stream.write(`\r\x1b[2K${barLine(task, stream.columns || 80)}`);
        drawn = true;
      } else if (task.status !== lastStage) {
        lastStage = task.status;
        stream.write(`${stageTexts[task.status]}${task.task_id === null ? "" : ` (task ${task.task_id})`}\n`);
      }
    },
    end: () => {
      if (drawn) stream.write("\n");
      drawn = false;
    },
  };
}

/** One line: bar, percent, what is going on, and each node's step. */
export function barLine(task: BridgeTask, columns: number): string {
  const fraction = fractionOf(task);
  const cells = 24;
  const full = Math.round(fraction * cells);
  const steps = task.rounds.map(({ step, steps: all }) => `${step}/${all}`).join(" ");
  const text = `${"█".repeat(full)}${"░".repeat(cells - full)} ${String(Math.round(fraction * 100)).padStart(3)} %  ${stageTexts[task.status]}${
    task.status === "executing" && steps !== "" ? `  ${steps}` : ""
  }`;
  return text.slice(0, columns - 1);
}

/** Between 0 and 1. While the nodes work, the second fastest counts: two results are enough. */
export function fractionOf(task: BridgeTask): number {
  const start = stageStarts[task.status] ?? 0;
  if (task.status !== "executing") return start;
  const done = task.rounds.map(({ step, steps }) => (steps > 0 ? step / steps : 0)).sort((a, b) => b - a);
  return start + (stageStarts.revealing! - start) * (done[1] ?? 0);
}
