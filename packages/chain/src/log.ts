/** What this package says while it works; telemetry's logger fits. */
export type Log = {
  debug(message: string, facts?: Readonly<Record<string, unknown>>): void;
  info(message: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
};

export const noLog: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
