/** One engine process: launched with a secret, believed only after it has shown that secret, killed when it misbehaves. */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { type Clock, deferred, deserializeError, type SerializedError } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import { nodeError } from "../errors.ts";
import {
  type EngineProgress,
  engineProtocolVersion,
  engineTokenVariable,
  type FromEngine,
  fromEngine,
  type ToEngine,
} from "./messages.ts";

export type Reply = Extract<FromEngine, { type: "result" | "loaded" }>;

export type Request = {
  readonly id: number;
  readonly onProgress: ((progress: EngineProgress) => void) | undefined;
  resolve(reply: Reply): void;
  reject(error: Error): void;
};

export type EngineChild = {
  readonly pid: number | undefined;
  /** The engine's fingerprint, once it has introduced itself. @throws ENGINE_PROCESS_START_FAILED, ENGINE_PROCESS_PROTOCOL */
  readonly ready: Promise<string>;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
  /** The request that answers belong to; rejected if the process goes. */
  request: Request | undefined;
  send(message: ToEngine): void;
  kill(): void;
};

export function launchEngine(
  options: { workerPath: string; startTimeoutMs: number },
  deps: { clock: Clock; log: Logger; onExit: (error: Error) => void },
): EngineChild {
  const { log, clock } = deps;
  const token = randomBytes(32).toString("hex");
  const child = fork(options.workerPath, [], {
    execPath: process.execPath,
    execArgv: [],
    env: { ...inheritedEnvironment(), [engineTokenVariable]: token },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "json",
  });
  const ready = deferred<string>();
  const exited = deferred<void>();
  ready.promise.catch(() => undefined);
  let greeted = false;
  let failure: Error | undefined;

  const self: EngineChild = {
    pid: child.pid,
    ready: ready.promise,
    exited: exited.promise,
    request: undefined,
    send: (message) => send(child, message),
    kill: () => void child.kill("SIGKILL"),
  };
  const fail = (error: Error) => {
    // Whoever waits is told when the process is gone: nobody must find it half dead.
    failure ??= error;
    self.kill();
  };
  const startLimit = new AbortController();
  clock.sleep(options.startTimeoutMs, startLimit.signal).then(
    () => fail(nodeError("ENGINE_PROCESS_START_FAILED", { startTimeoutMs: options.startTimeoutMs })),
    () => undefined,
  );

  const greet = ({ version, token: shown, fingerprint }: Extract<FromEngine, { type: "hello" }>) => {
    if (shown !== token) return fail(nodeError("ENGINE_PROCESS_PROTOCOL", { problem: "wrong token" }));
    if (version !== engineProtocolVersion)
      return fail(nodeError("ENGINE_PROCESS_PROTOCOL", { problem: "another version", version }));
    greeted = true;
    startLimit.abort();
    ready.resolve(fingerprint);
  };
  child.on("message", (raw) => {
    const parsed = fromEngine.safeParse(raw);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      return fail(
        nodeError("ENGINE_PROCESS_PROTOCOL", { problem: issue!.message, at: issue!.path.join(".") }),
      );
    }
    const message = parsed.data;
    if (message.type === "hello") return greet(message);
    if (!greeted) return fail(nodeError("ENGINE_PROCESS_PROTOCOL", { problem: "spoke before its hello" }));
    const { request } = self;
    if (message.id !== request?.id) return;
    if (message.type === "progress") request.onProgress?.(message);
    else if (message.type === "error") request.reject(deserializeError(message.error as SerializedError));
    else request.resolve(message);
  });
  child.on("error", (cause) => {
    fail(nodeError("ENGINE_PROCESS_START_FAILED", {}, cause));
    // No process, no exit event.
    if (child.pid === undefined) onGone(null, null);
  });
  const onGone = (exitCode: number | null, signal: string | null) => {
    startLimit.abort();
    const facts = { exitCode: exitCode ?? undefined, signal: signal ?? undefined };
    const error =
      failure ?? nodeError(greeted ? "ENGINE_PROCESS_CRASHED" : "ENGINE_PROCESS_START_FAILED", facts);
    ready.reject(error);
    deps.onExit(error);
    self.request?.reject(error);
    exited.resolve();
  };
  child.once("exit", onGone);
  for (const stream of [child.stdout!, child.stderr!])
    createInterface({ input: stream }).on("line", (line) => log.debug("engine says", { line }));
  return self;
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
