/**
 * Carries out what the reconciler decides: per key (a round, a pending task, the membership) one job at a time. A job
 * whose decision has changed is aborted; one that failed is tried again, later each time. A job that waits for its
 * transaction is given time first: mostly it is that transaction, seen by the reconciler before, that changed the decision.
 */
import type { Clock } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";

export type Jobs = {
  /** A moment, for `want`. Take it before looking at what the decisions are based on; earlier ones no longer count. */
  moment(): number;
  /**
   * Makes `kind` the job of `key`, unless it already runs or rests after a failure, or a job of this key has ended
   * since that moment: then the decision is out of date.
   */
  want(key: string, kind: string, since: number, work: (signal: AbortSignal) => Promise<void>): void;
  /** Ends what runs for `key`, and forgets its failures. */
  unwant(key: string): void;
  /** What runs for `key`. */
  kindOf(key: string): string | undefined;
  /** When the first resting job may be tried again. */
  nextRetryMs(): number | undefined;
  /** Takes no more and waits for the end of all: at once where it can be interrupted, else within `graceMs`. */
  close(graceMs: number): Promise<void>;
};

type Running = {
  kind: string;
  controller: AbortController;
  ended: Promise<void>;
  /** When it is aborted, if its decision has changed. */
  abortAtMs?: number;
};
type Resting = { kind: string; failures: number; untilMs: number };

const firstRestMs = 250;
const longestRestMs = 15_000;
const patienceMs = 10_000;

export function createJobs(deps: {
  clock: Clock;
  log: Logger;
  /** Called after every job, whatever came of it. */
  onEnd: () => void;
  /** Kinds that are aborted at once when the decision changes. */
  isInterruptible: (kind: string) => boolean;
}): Jobs {
  const { clock, log } = deps;
  const running = new Map<string, Running>();
  const resting = new Map<string, Resting>();
  const endedAt = new Map<string, number>();
  let moments = 0;
  let closed = false;

  const rest = (key: string, kind: string, error: unknown) => {
    const before = resting.get(key);
    const failures = before?.kind === kind ? before.failures + 1 : 1;
    const pauseMs = Math.min(longestRestMs, firstRestMs * 2 ** (failures - 1));
    resting.set(key, { kind, failures, untilMs: clock.nowMs() + pauseMs });
    // At first somebody else was faster, or something is restarting.
    log[failures < 4 ? "info" : "warn"](`could not ${kind}`, { job: key, error, failures, pauseMs });
  };

  const end = (current: Running) => {
    const patience = deps.isInterruptible(current.kind) ? 0 : patienceMs;
    current.abortAtMs ??= clock.nowMs() + patience;
    if (clock.nowMs() >= current.abortAtMs) current.controller.abort();
  };

  return {
    moment: () => {
      endedAt.clear();
      return ++moments;
    },
    want: (key, kind, since, work) => {
      if (closed || (endedAt.get(key) ?? 0) > since) return;
      const current = running.get(key);
      if (current !== undefined) {
        if (current.kind !== kind) end(current);
        else delete current.abortAtMs;
        return;
      }
      const rests = resting.get(key);
      if (rests?.kind === kind && clock.nowMs() < rests.untilMs) return;
      if (rests?.kind !== kind) resting.delete(key);
      const controller = new AbortController();
      const start = async () => {
        try {
          await work(controller.signal);
          resting.delete(key);
        } catch (error) {
          if (!controller.signal.aborted) rest(key, kind, error);
        } finally {
          if (running.get(key)?.abortAtMs !== undefined) resting.delete(key); // nobody asks for it any more
          running.delete(key);
          endedAt.set(key, ++moments);
          deps.onEnd();
        }
      };
      running.set(key, { kind, controller, ended: Promise.resolve().then(start) });
    },
    unwant: (key) => {
      resting.delete(key);
      const current = running.get(key);
      if (current !== undefined) end(current);
    },
    kindOf: (key) => running.get(key)?.kind,
    nextRetryMs: () => {
      const now = clock.nowMs();
      const times = [
        ...[...resting].filter(([key]) => !running.has(key)).map(([, { untilMs }]) => untilMs),
        ...[...running.values()].flatMap(({ abortAtMs }) => abortAtMs ?? []),
      ].filter((time) => time > now);
      return times.length === 0 ? undefined : Math.min(...times);
    },
    close: async (graceMs) => {
      closed = true;
      const all = [...running.values()];
      for (const { kind, controller } of all) if (deps.isInterruptible(kind)) controller.abort();
      const ended = Promise.all(all.map((job) => job.ended));
      const timer = new AbortController();
      const grace = clock.sleep(graceMs, timer.signal).catch(() => undefined);
      await Promise.race([grace, ended]);
      timer.abort();
      for (const { controller } of all) controller.abort();
      await ended;
    },
  };
}
