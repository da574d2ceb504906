/**
 * The engine as the node sees it: a process of its own that is started when needed, given one run at a time, and ended
 * when it hangs. A native crash, a leak or an out-of-memory kill costs one run, never the node.
 */
import { fileURLToPath } from "node:url";
import { type Clock, deferred, errorSummary, Mutex } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import { nodeError } from "../errors.ts";
import { type EngineChild, launchEngine, type Reply, type Request } from "./child.ts";
import type { EngineProgress, EngineResult, RunSettings, ToEngine } from "./messages.ts";

export type EngineOptions = {
  settings: RunSettings;
  /** Longest run, from the first message to the last. */
  timeoutMs: number;
  /** How long a process may take to come up; default 60,000. */
  startTimeoutMs?: number;
  /** How long a cancelled run may take to end before its process is ended; default 5,000. */
  cancelTimeoutMs?: number;
  /** The worker's entry point; by default the real one. */
  workerPath?: string;
};

export type EngineState = {
  readonly status: "stopped" | "starting" | "idle" | "running" | "closed";
  readonly pid: number | undefined;
  readonly fingerprint: string | undefined;
  /** How often a process ended without being asked to. */
  readonly crashes: number;
  readonly lastError: string | undefined;
};

export type EngineRun = {
  /** Parsed task args: plain JSON. */
  args: unknown;
  /** An empty directory that the result files are written to. */
  outputDir: string;
  onProgress?: ((progress: EngineProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
};

export type Engine = {
  state(): EngineState;
  /** Starts the process if there is none; returns the fingerprint that GPU groups are made of. */
  start(): Promise<string>;
  /** Loads a model ahead of its first run. @throws as `run` */
  load(model: string, signal?: AbortSignal): Promise<void>;
  /**
   * Runs one task; calls wait for each other.
   * @throws the engine's own errors, ENGINE_PROCESS_START_FAILED, ENGINE_PROCESS_CRASHED, ENGINE_PROCESS_TIMEOUT, RUN_CANCELLED, ENGINE_PROCESS_PROTOCOL
   */
  run(run: EngineRun): Promise<EngineResult>;
  /** Ends the process; a run in progress fails with RUN_CANCELLED. */
  close(): Promise<void>;
};

const initial: EngineState = {
  status: "stopped",
  pid: undefined,
  fingerprint: undefined,
  crashes: 0,
  lastError: undefined,
};

export function createEngine(options: EngineOptions, deps: { log: Logger; clock: Clock }): Engine {
  const { log, clock } = deps;
  const { settings, timeoutMs, startTimeoutMs = 60_000, cancelTimeoutMs = 5_000 } = options;
  const workerPath = options.workerPath ?? fileURLToPath(new URL("./worker.ts", import.meta.url));
  const closing = new AbortController();
  const turns = new Mutex();
  let current: EngineChild | undefined;
  let nextId = 1;
  let state = initial;
  const update = (change: Partial<EngineState>) => {
    state = { ...state, ...change };
  };

  const launch = (): EngineChild => {
    const child = launchEngine(
      { workerPath, startTimeoutMs },
      {
        clock,
        log,
        onExit: (error) => {
          if (current === child) current = undefined;
          if (closing.signal.aborted) return;
          update({
            status: "stopped",
            pid: undefined,
            crashes: state.crashes + 1,
            lastError: errorSummary(error),
          });
          log.warn("the engine process ended", { pid: child.pid, error });
        },
      },
    );
    update({ status: "starting", pid: child.pid });
    child.ready.then(
      (fingerprint) => update({ status: "idle", fingerprint }),
      () => undefined,
    );
    return child;
  };

  const ensure = async (): Promise<EngineChild> => {
    if (closing.signal.aborted) throw nodeError("RUN_CANCELLED");
    current ??= launch();
    const child = current;
    await child.ready;
    return child;
  };

  const ask = async (
    message: (id: number) => ToEngine,
    onProgress: Request["onProgress"],
    signal: AbortSignal | undefined,
  ): Promise<Reply> => {
    const stop = signal === undefined ? closing.signal : AbortSignal.any([closing.signal, signal]);
    if (stop.aborted) throw nodeError("RUN_CANCELLED");
    const child = await ensure();
    const id = nextId++;
    const { promise, resolve, reject } = deferred<Reply>();
    promise.catch(() => undefined);
    child.request = { id, onProgress, resolve, reject };
    update({ status: "running" });
    const finished = new AbortController();
    let ended: Error | undefined;
    /** Asks the run to end; if it does not, ends its process. */
    const end = (error: Error) => {
      if (ended !== undefined) return;
      ended = error;
      child.send({ type: "cancel", id });
      clock.sleep(cancelTimeoutMs, finished.signal).then(
        () => {
          log.warn("the engine does not react and is ended", { pid: child.pid });
          child.kill();
        },
        () => undefined,
      );
    };
    const onAbort = () => end(nodeError("RUN_CANCELLED"));
    stop.addEventListener("abort", onAbort, { once: true });
    if (stop.aborted) onAbort();
    clock.sleep(timeoutMs, finished.signal).then(
      () => end(nodeError("ENGINE_PROCESS_TIMEOUT", { timeoutMs })),
      () => undefined,
    );
    try {
      child.send(message(id));
      const reply = await promise;
      if (ended !== undefined) throw ended;
      return reply;
    } catch (error) {
      throw ended ?? error;
    } finally {
      finished.abort();
      stop.removeEventListener("abort", onAbort);
      child.request = undefined;
      if (current === child) update({ status: "idle" });
    }
  };

  return {
    state: () => state,
    start: async () => (await ensure()).ready,
    load: (model, signal) =>
      turns.run(async () => {
        await ask((id) => ({ type: "load", id, model, settings }), undefined, signal);
      }),
    run: ({ args, outputDir, onProgress, signal }) =>
      turns.run(async () => {
        const reply = await ask((id) => ({ type: "run", id, args, outputDir, settings }), onProgress, signal);
        if (reply.type !== "result") throw nodeError("ENGINE_PROCESS_PROTOCOL", { problem: "no result" });
        update({ lastError: undefined });
        return { result: reply.result, files: reply.files, fingerprint: reply.fingerprint };
      }),
    close: async () => {
      closing.abort();
      const child = current;
      if (child !== undefined) {
        child.send({ type: "close" });
        const ended = new AbortController();
        clock.sleep(cancelTimeoutMs, ended.signal).then(child.kill, () => undefined);
        await child.exited;
        ended.abort();
      }
      update({ status: "closed", pid: undefined });
    },
  };
}
