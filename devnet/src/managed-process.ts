/**
 * A part of the network as a process of its own: started, watched until ready, restarted when it dies unasked,
 * stopped in order. It ends by itself when this process is gone (its IPC channel closes).
 */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { type Clock, waitFor } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import { devnetError } from "./errors.ts";

export type ManagedProcess = {
  readonly name: string;
  readonly pid: number | undefined;
  /** Starts it unless it runs; resolves when it is ready. @throws DEVNET_PROCESS_FAILED, DEVNET_NOT_READY */
  start(signal?: AbortSignal): Promise<void>;
  /** Asks it to end and waits; kills it after ten seconds. It stays down until `start`. */
  stop(): Promise<void>;
  /** Ends it at once, as a power cut would; it is restarted as after any crash. */
  kill(): void;
};

export type ProcessOptions = {
  name: string;
  script: string;
  args: readonly string[];
  logFile: string;
  env?: Readonly<Record<string, string>>;
  /** Whether it can do its work. */
  isReady: () => Promise<boolean>;
  readyTimeoutSec?: number;
};

const restartDelaysMs = [200, 1_000, 5_000, 15_000];
const stopPatienceMs = 10_000;
/** A process that lived this long was not crashing in a loop. */
const healthyMs = 60_000;

export function createManagedProcess(
  options: ProcessOptions,
  deps: { clock: Clock; log: Logger },
): ManagedProcess {
  const { name, script, args, logFile, readyTimeoutSec = 60 } = options;
  const { clock, log } = deps;
  let child: ChildProcess | undefined;
  let wanted = false;
  let crashes = 0;
  let stopped = new AbortController();

  function launch(): void {
    mkdirSync(dirname(logFile), { recursive: true });
    const output = openSync(logFile, "a");
    const started = fork(script, args, {
      stdio: ["ignore", output, output, "ipc"],
      env: { ...process.env, ...options.env },
      execArgv: ["--disable-warning=ExperimentalWarning"],
      // A process group of its own: Ctrl-C in the terminal must not reach the parts before we stop them in order.
      detached: true,
    });
    closeSync(output);
    child = started;
    const launchedMs = clock.nowMs();
    const ended = (exit: unknown) => {
      if (child !== started) return;
      child = undefined;
      if (clock.nowMs() - launchedMs > healthyMs) crashes = 0;
      if (wanted) relaunch(exit);
    };
    started.once("exit", (code, signal) => ended(code ?? signal));
    started.once("error", ended);
  }

  function relaunch(exit: unknown): void {
    const delayMs = restartDelaysMs[Math.min(crashes++, restartDelaysMs.length - 1)]!;
    log.warn("a part of the network ended and is started again", { name, exit, delayMs, logFile });
    clock.sleep(delayMs, stopped.signal).then(launch, () => undefined);
  }

  return {
    name,
    get pid() {
      return child?.pid;
    },
    start: async (signal) => {
      if (!wanted) {
        wanted = true;
        crashes = 0;
        stopped = new AbortController();
        launch();
      }
      const timeout = AbortSignal.timeout(readyTimeoutSec * 1000);
      try {
        await waitFor(
          async () => {
            if (crashes >= restartDelaysMs.length - 1)
              throw devnetError("DEVNET_PROCESS_FAILED", { name, logFile });
            return child !== undefined && (await options.isReady());
          },
          {
            clock,
            signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
            intervalMs: 100,
          },
        );
      } catch (error) {
        if (timeout.aborted) throw devnetError("DEVNET_NOT_READY", { name, readyTimeoutSec, logFile }, error);
        throw error;
      }
    },
    stop: async () => {
      wanted = false;
      stopped.abort();
      const ending = child;
      if (ending === undefined) return;
      const ended = new Promise<void>((resolve) => ending.once("exit", () => resolve()));
      ending.kill("SIGTERM");
      const patience = setTimeout(() => ending.kill("SIGKILL"), stopPatienceMs);
      await ended;
      clearTimeout(patience);
    },
    kill: () => void child?.kill("SIGKILL"),
  };
}

/** Whether a GET of this URL answers with a 2xx status. */
export async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}
