/** Structured logs: one line a record, human-readable on a terminal, JSON otherwise. */
import { HydrogenError } from "@hydrogen/std";

export type LogLevel = "debug" | "info" | "warn" | "error";
const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export type Logger = {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
  /** A logger that adds these facts to every record. */
  child(facts: LogFacts): Logger;
};

/** `error` may hold anything thrown; it is unfolded with its causes. */
export type LogFacts = Readonly<Record<string, unknown>>;

export type LoggerOptions = {
  level?: LogLevel;
  format?: "json" | "text";
  write?: (line: string) => void;
  nowMs?: () => number;
};

export function createLogger(options: LoggerOptions = {}, base: Record<string, unknown> = {}): Logger {
  const threshold = levels.indexOf(options.level ?? "info");
  const write = options.write ?? ((line: string) => void process.stderr.write(`${line}\n`));
  const nowMs = options.nowMs ?? Date.now;
  const format = options.format ?? (process.stderr.isTTY ? "text" : "json");
  const log =
    (level: LogLevel) =>
    (message: string, facts: Record<string, unknown> = {}) => {
      if (levels.indexOf(level) < threshold) return;
      const record = { ...base, ...facts };
      const time = new Date(nowMs()).toISOString();
      if (format === "json") {
        write(JSON.stringify({ time, level, message, ...record }, toPlain));
        return;
      }
      const tail = Object.entries(record)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => `${key}=${textOf(value)}`)
        .join(" ");
      write(`${time.slice(11, 23)} ${level.padEnd(5)} ${message}${tail === "" ? "" : `  ${tail}`}`);
    };
  return {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    child: (facts) => createLogger(options, { ...base, ...facts }),
  };
}

/** Swallows everything: for tests and libraries used without a logger. */
export const silentLogger: Logger = createLogger({ write: () => undefined });

function toPlain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof HydrogenError) return { ...value.toJSON(), cause: value.cause };
  if (value instanceof Error) return { message: value.message, stack: value.stack, cause: value.cause };
  return value;
}

function textOf(value: unknown): string {
  if (value instanceof Error) {
    const own =
      value instanceof HydrogenError ? `${value.code}: ${value.message}` : (value.stack ?? value.message);
    return value.cause === undefined ? own : `${own} ← ${textOf(value.cause)}`;
  }
  return typeof value === "string" ? value : JSON.stringify(value, toPlain);
}
