/** How far a pull is: bytes, speed and the time it will take. */
import type { Clock } from "@hydrogen/std";

export type PullPhase = "waiting" | "planning" | "downloading" | "verifying" | "done";

export type PullProgress = {
  /** `waiting`: another process fetches the same model. `verifying`: reading what is here. */
  phase: PullPhase;
  doneBytes: number;
  /** 0 until it is known. */
  totalBytes: number;
  bytesPerSec: number;
  /** Seconds to go at the present speed; undefined while there is none. */
  etaSec: number | undefined;
};

const windowMs = 10_000;
const intervalMs = 100;

export type ProgressMeter = {
  enter(phase: PullPhase): void;
  expect(totalBytes: number): void;
  /** Resumed bytes count as done, not as speed. */
  add(delta: number, resumed: boolean): void;
  /** Forgets what was counted: the pull begins again. */
  reset(): void;
};

/** Tells a listener of every phase, and of bytes at most ten times a second. */
export function createProgressMeter(
  clock: Clock,
  listener: ((progress: PullProgress) => void) | undefined,
): ProgressMeter {
  let phase: PullPhase = "planning";
  let doneBytes = 0;
  let totalBytes = 0;
  let toldMs = Number.NEGATIVE_INFINITY;
  let samples: { atMs: number; bytes: number }[] = [];

  const tell = () => {
    const nowMs = clock.nowMs();
    toldMs = nowMs;
    samples = samples.filter(({ atMs }) => nowMs - atMs <= windowMs);
    const bytes = samples.reduce((sum, sample) => sum + sample.bytes, 0);
    const spanMs = nowMs - (samples[0]?.atMs ?? nowMs);
    const bytesPerSec = spanMs >= 500 ? Math.max(0, Math.round((bytes * 1000) / spanMs)) : 0;
    const etaSec = bytesPerSec > 0 ? Math.ceil((totalBytes - doneBytes) / bytesPerSec) : undefined;
    listener?.({ phase, doneBytes, totalBytes, bytesPerSec, etaSec });
  };
  return {
    enter: (next) => {
      if (phase === next && toldMs > 0) return;
      phase = next;
      tell();
    },
    expect: (bytes) => {
      totalBytes = bytes;
    },
    add: (delta, resumed) => {
      doneBytes += delta;
      const nowMs = clock.nowMs();
      if (!resumed) addSample(samples, nowMs, delta);
      if (nowMs - toldMs >= intervalMs) tell();
    },
    reset: () => {
      doneBytes = 0;
      samples = [];
    },
  };
}

function addSample(samples: { atMs: number; bytes: number }[], atMs: number, bytes: number): void {
  const last = samples.at(-1);
  if (last !== undefined && atMs - last.atMs < intervalMs) last.bytes += bytes;
  else samples.push({ atMs, bytes });
}
