/** The latest progress of each round, in memory: it is worth nothing after a restart. */

export type Progress = { round: number; stage: string; step: number; steps: number; atMs: number };

export type ProgressBoard = {
  post(taskId: number, progress: Progress): void;
  /** By round. */
  get(taskId: number): Progress[];
};

/** Progress of tasks beyond this many is forgotten, the one posted to longest ago first. */
const maxTasks = 1_000;

export function createProgressBoard(): ProgressBoard {
  const tasks = new Map<number, Map<number, Progress>>();
  return {
    post: (taskId, progress) => {
      const rounds = tasks.get(taskId) ?? new Map<number, Progress>();
      rounds.set(progress.round, progress);
      tasks.delete(taskId);
      tasks.set(taskId, rounds);
      const [oldest] = tasks.keys();
      if (tasks.size > maxTasks && oldest !== undefined) tasks.delete(oldest);
    },
    get: (taskId) => [...(tasks.get(taskId)?.values() ?? [])].sort((a, b) => a.round - b.round),
  };
}
