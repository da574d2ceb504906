/** Who is watching which task right now, and the latest progress of each round. In memory: it may be lost. */
import type { RoundProgress } from "@hydrogen/sdk";

export type LiveTasks = {
  /** Tells all watchers of the task that it changed. */
  changed(id: string): void;
  /** Tells the watchers only of what is new. */
  setRounds(id: string, rounds: RoundProgress[]): void;
  rounds(id: string): RoundProgress[];
  forget(id: string): void;
  /** Resolves at the task's next change, or when the signal aborts. */
  nextChange(id: string, signal: AbortSignal): Promise<void>;
};

export function createLiveTasks(): LiveTasks {
  const rounds = new Map<string, RoundProgress[]>();
  const watchers = new Map<string, Set<() => void>>();
  const changed = (id: string) => {
    const waiting = watchers.get(id);
    watchers.delete(id);
    for (const wake of waiting ?? []) wake();
  };
  return {
    changed,
    setRounds: (id, latest) => {
      if (JSON.stringify(latest) === JSON.stringify(rounds.get(id) ?? [])) return;
      rounds.set(id, latest);
      changed(id);
    },
    rounds: (id) => rounds.get(id) ?? [],
    forget: (id) => void rounds.delete(id),
    nextChange: (id, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const waiting = watchers.get(id) ?? new Set();
        watchers.set(id, waiting);
        const wake = () => {
          signal.removeEventListener("abort", wake);
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      }),
  };
}
