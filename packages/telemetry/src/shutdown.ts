/** Orderly shutdown: what was opened last is closed first; the process ends when all of it is closed. */
import type { Logger } from "./logger.ts";

export type Shutdown = {
  /** Aborts when shutdown begins; hand it to every loop and wait. */
  readonly signal: AbortSignal;
  /** Registers something to close. Closed in reverse order of registration. */
  onClose(name: string, close: () => Promise<void> | void): void;
  /** Begins shutdown; resolves when everything is closed. Later calls share the first. */
  close(reason: string): Promise<void>;
};

export function createShutdown(log: Logger): Shutdown {
  const controller = new AbortController();
  const closers: { name: string; close: () => Promise<void> | void }[] = [];
  let closing: Promise<void> | undefined;
  const closeAll = async (reason: string) => {
    controller.abort(new DOMException(reason, "AbortError"));
    for (const { name, close } of closers.reverse()) {
      try {
        await close();
      } catch (error) {
        log.error("could not close cleanly", { part: name, error });
      }
    }
  };
  return {
    signal: controller.signal,
    onClose: (name, close) => void closers.push({ name, close }),
    close: (reason) => {
      closing ??= closeAll(reason);
      return closing;
    },
  };
}

/** Ctrl-C reaches a whole process group and is often passed on besides: what comes within this time is one request. */
const sameRequestMs = 1_000;

/**
 * Ends the process on SIGINT, SIGTERM or when the parent's IPC channel closes; a second request, a while later, ends it
 * at once. For entry points only, before anything is started.
 */
export function closeOnSignals(shutdown: Shutdown, log: Logger): void {
  let askedMs: number | undefined;
  const end = (reason: string) => {
    if (askedMs !== undefined) {
      if (performance.now() - askedMs > sameRequestMs) process.exit(130);
      return;
    }
    askedMs = performance.now();
    log.info("shutting down", { reason });
    shutdown.close(reason).then(() => process.exit(process.exitCode ?? 0));
  };
  process.on("SIGINT", () => end("SIGINT"));
  process.on("SIGTERM", () => end("SIGTERM"));
  process.on("disconnect", () => end("parent gone"));
  if (process.send !== undefined && !process.connected) end("parent gone");
}
