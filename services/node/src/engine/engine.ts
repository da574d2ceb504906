/**
 * The engine as the node sees it: a process of its own that is started when needed, given one run at a time, and ended
 * when it hangs. A native crash, a leak or an out-of-memory kill costs one run, never the node.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Clock, deferred, deserializeError, errorSummary } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import { nodeError } from "../errors.ts";
import {
  type EngineProgress,
  type EngineResult,
  engineProtocolVersion,
  engineTokenVariable,
  type FromEngine,
  fromEngine,
  type RunSettings,
  type ToEngine,
} from "./messages.ts";

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
  onProgress?: (progress: EngineProgress) => void;
  signal?: AbortSignal | undefined;
};

export type Engine = {
  state(): EngineState;
  /** Starts the process if there is none; returns the fingerprint that GPU groups are made of. */
  start(signal?: AbortSignal): Promise<string>;
  /** Loads a model ahead of its first run. */
  load(model: string, signal?: AbortSignal): Promise<void>;
  /**
   * Runs one task; calls wait for each other.
   * @throws the engine's own errors, ENGINE_START_FAILED, ENGINE_CRASHED, ENGINE_TIMEOUT, ENGINE_CANCELLED, ENGINE_PROTOCOL
   */
  run(run: EngineRun): Promise<EngineResult>;
  /** Ends the process; a run in progress fails with ENGINE_CANCELLED. */
  close(): Promise<void>;
};

type Reply = Extract<FromEngine, { type: "result" | "loaded" }>;
type Request = {
  id: number;
  onProgress: ((progress: EngineProgress) => void) | undefined;
  resolve: (reply: Reply) => void;
  reject: (error: Error) => void;
};
type Process = {
  child: ChildProcess;
  ready: Promise<string>;
  exited: Promise<void>;
  request: Request | undefined;
};

export function createEngine(options: EngineOptions, deps: { log: Logger; clock: Clock }): Engine {
  const { log, clock } = deps;
  const { startTimeoutMs = 60_000, cancelTimeoutMs = 5_000 } = options;
  const workerPath = options.workerPath ?? fileURLToPath(new URL("./worker.ts", import.meta.url));
  const closing = new AbortController();
  let current: Process | undefined;
  let queue: Promise<unknown> = Promise.resolve();
  let nextId = 1;
  let state: EngineState = {
    status: "stopped",
    pid: undefined,
    fingerprint: undefined,
    crashes: 0,
    lastError: undefined,
  };
  const update = (change: Partial<EngineState>) => {
    state = { ...state, ...change };
  };

  const launch = (): Process => {
    const token = randomBytes(32).toString("hex");
    const child = fork(workerPath, [], {
      execPath: process.execPath,
      execArgv: [],
      env: { ...inheritedEnvironment(), [engineTokenVariable]: token },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "json",
    });
    const ready = deferred<string>();
    const exited = deferred<void>();
    const self: Process = { child, ready: ready.promise, exited: exited.promise, request: undefined };
    ready.promise.catch(() => undefined);
    update({ status: "starting", pid: child.pid });
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => log.debug("engine says", { line }));
    }

    const fail = (error: Error) => {
      ready.reject(error);
      self.request?.reject(error);
      child.kill("SIGKILL");
    };
    const startLimit = new AbortController();
    clock.sleep(startTimeoutMs, startLimit.signal).then(
      () => fail(nodeError("ENGINE_START_FAILED", { startTimeoutMs })),
      () => undefined,
    );
    let greeted = false;
    child.on("message", (raw) => {
      const parsed = fromEngine.safeParse(raw);
      if (!parsed.success)
        return fail(nodeError("ENGINE_PROTOCOL", { problem: parsed.error.issues[0]!.message }));
      const message = parsed.data;
      if (message.type === "hello") {
        if (message.token !== token) return fail(nodeError("ENGINE_PROTOCOL", { problem: "wrong token" }));
        if (message.version !== engineProtocolVersion)
          return fail(nodeError("ENGINE_PROTOCOL", { problem: "version", version: message.version }));
        greeted = true;
        startLimit.abort();
        update({ status: "idle", fingerprint: message.fingerprint });
        return ready.resolve(message.fingerprint);
      }
      if (!greeted) return fail(nodeError("ENGINE_PROTOCOL", { problem: "spoke before its hello" }));
      const { request } = self;
      if (message.id !== request?.id) return;
      if (message.type === "progress") request.onProgress?.(message);
      else if (message.type === "error") request.reject(deserializeError(withoutUndefined(message.error)));
      else request.resolve(message);
    });
    child.on("error", (cause) => fail(nodeError("ENGINE_START_FAILED", {}, cause)));
    child.on("exit", (exitCode, signal) => {
      startLimit.abort();
      if (current === self) current = undefined;
      const facts = { exitCode: exitCode ?? undefined, signal: signal ?? undefined };
      const error = nodeError(greeted ? "ENGINE_CRASHED" : "ENGINE_START_FAILED", facts);
      ready.reject(error);
      self.request?.reject(error);
      if (!closing.signal.aborted) {
        update({
          status: "stopped",
          pid: undefined,
          crashes: state.crashes + 1,
          lastError: errorSummary(error),
        });
        log.warn("the engine process ended", facts);
      }
      exited.resolve();
    });
    return self;
  };

  const ensure = async (): Promise<Process> => {
    if (closing.signal.aborted) throw nodeError("ENGINE_CANCELLED");
    current ??= launch();
    const process_ = current;
    await process_.ready;
    return process_;
  };

  const ask = async (
    message: (id: number) => ToEngine,
    wanted: { onProgress?: Request["onProgress"]; signal: AbortSignal },
  ): Promise<Reply> => {
    wanted.signal.throwIfAborted();
    const engine = await ensure();
    const id = nextId++;
    const { promise, resolve, reject } = deferred<Reply>();
    engine.request = { id, onProgress: wanted.onProgress, resolve, reject };
    update({ status: "running" });
    const finished = new AbortController();
    const stop = async (error: Error) => {
      send(engine.child, { type: "cancel", id });
      await clock.sleep(cancelTimeoutMs, finished.signal);
      log.warn("the engine does not react and is ended", { pid: engine.child.pid });
      reject(error);
      engine.child.kill("SIGKILL");
    };
    const ignore = () => undefined;
    let reason: Error | undefined;
    const end = (error: Error) => {
      reason ??= error;
      stop(reason).catch(ignore);
    };
    const onAbort = () => end(nodeError("ENGINE_CANCELLED"));
    wanted.signal.addEventListener("abort", onAbort, { once: true });
    if (wanted.signal.aborted) onAbort();
    clock
      .sleep(options.timeoutMs, finished.signal)
      .then(() => end(nodeError("ENGINE_TIMEOUT", { timeoutMs: options.timeoutMs })), ignore);
    try {
      send(engine.child, message(id));
      const reply = await promise;
      if (reason !== undefined) throw reason;
      return reply;
    } catch (error) {
      throw reason ?? error;
    } finally {
      finished.abort();
      wanted.signal.removeEventListener("abort", onAbort);
      engine.request = undefined;
      if (current === engine && state.status === "running") update({ status: "idle" });
    }
  };

  const enqueue = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = queue.then(work, work);
    queue = turn.catch(() => undefined);
    return turn;
  };
  const signalOf = (signal?: AbortSignal) =>
    signal === undefined ? closing.signal : AbortSignal.any([closing.signal, signal]);
  const { settings } = options;

  return {
    state: () => state,
    start: (signal) =>
      enqueue(async () => {
        signal?.throwIfAborted();
        return (await ensure()).ready;
      }),
    load: (model, signal) =>
      enqueue(async () => {
        await ask((id) => ({ type: "load", id, model, settings }), { signal: signalOf(signal) });
      }),
    run: ({ args, outputDir, onProgress, signal }) =>
      enqueue(async () => {
        const reply = await ask((id) => ({ type: "run", id, args, outputDir, settings }), {
          onProgress,
          signal: signalOf(signal),
        });
        if (reply.type !== "result") throw nodeError("ENGINE_PROTOCOL", { problem: "no result" });
        update({ lastError: undefined });
        return { result: reply.result, files: reply.files, fingerprint: reply.fingerprint };
      }),
    close: async () => {
      closing.abort();
      const engine = current;
      if (engine !== undefined) {
        send(engine.child, { type: "close" });
        const ended = new AbortController();
        clock.sleep(cancelTimeoutMs, ended.signal).then(
          () => engine.child.kill("SIGKILL"),
          () => undefined,
        );
        await engine.exited;
        ended.abort();
      }
      update({ status: "closed", pid: undefined });
    },
  };
}

/** What native libraries may need; never the node's secrets. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const wanted =
    /^(PATH|HOME|TMPDIR|TEMP|TMP|LANG|LC_.*|LD_LIBRARY_PATH|SystemRoot|(CUDA|NVIDIA|ORT|OMP)_.*)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => wanted.test(name)));
}

function send(child: ChildProcess, message: ToEngine): void {
  if (child.connected) child.send(message, () => undefined);
}

function withoutUndefined(error: Extract<FromEngine, { type: "error" }>["error"]) {
  const { hint, failureClass, ...rest } = error;
  return {
    ...rest,
    ...(hint !== undefined && { hint }),
    ...(failureClass !== undefined && { failureClass }),
  };
}
