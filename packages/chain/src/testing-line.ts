/** For this package's tests: accounts, and a line to the chain that fails where it is told to. */
import { type Clock, systemClock, waitFor } from "@hydrogen/std";
import { custom, type LocalAccount, type Transport } from "viem";
import { privateKeyToAccount } from "viem/accounts";

/** Accounts with 100 of native currency each. */
export const accounts: readonly LocalAccount[] = [1, 2, 3, 4].map((n) =>
  privateKeyToAccount(`0x${String(n).repeat(64)}`),
);

export type Intercept = (
  method: string,
  params: readonly unknown[],
  next: () => Promise<unknown>,
) => Promise<unknown>;

/** A real chain behind a line that can lose, refuse or falsify single requests. */
export function faultyLine(url: string, intercept: Intercept): Transport {
  return custom(
    {
      request: ({ method, params = [] }: { method: string; params?: readonly unknown[] }) =>
        intercept(method, params, () => forward(url, method, params)),
    },
    { retryCount: 0 },
  );
}

/** What viem's HTTP transport throws when nobody listens, seen from a custom one. */
export async function forward(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = (await response.json()) as {
    result?: unknown;
    error?: { code: number; message: string; data?: unknown };
  };
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result;
}

/** Time runs `factor` times faster. */
export function fastClock(factor: number): Clock {
  const startMs = systemClock.nowMs();
  return {
    nowMs: () => startMs + (systemClock.nowMs() - startMs) * factor,
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}

/** Waits for something that must become true; fails after 20 s. */
export function eventually(
  probe: () => Promise<unknown> | unknown,
  clock: Clock = systemClock,
  intervalMs = 50,
): Promise<unknown> {
  return waitFor(async () => Boolean(await probe()), {
    clock,
    intervalMs,
    signal: AbortSignal.timeout(20_000),
  });
}
