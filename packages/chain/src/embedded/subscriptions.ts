/** eth_subscribe: what happens on the chain, pushed to one WebSocket connection. */
import { headerJson } from "./block-store.ts";
import type { Chain, ChainEvents } from "./chain.ts";
import { quantity } from "./format.ts";
import { logJson, matchesLog } from "./log-index.ts";
import { parseLogFilter } from "./log-query.ts";
import { invalidParams, serverError } from "./rpc-error.ts";

export type Subscriptions = {
  subscribe(kind: unknown, params: unknown): string;
  unsubscribe(id: unknown): boolean;
  close(): void;
};

const MAX_SUBSCRIPTIONS = 1_000;
const ignore = (): undefined => undefined;

/** @param send delivers one JSON-RPC notification to the connection */
export function createSubscriptions(chain: Chain, send: (notification: unknown) => void): Subscriptions {
  const active = new Map<string, () => void>();
  let lastId = 0n;
  const listenerOf = (kind: unknown, params: unknown, push: (result: unknown) => void): ChainEvents => {
    if (kind === "newHeads") return { block: (block) => push(headerJson(block)), pending: ignore };
    if (kind === "newPendingTransactions") {
      return { block: ignore, pending: (entry) => push(`0x${entry.hashKey}`) };
    }
    if (kind !== "logs") throw invalidParams(`no "${String(kind)}" subscription`);
    const filter = parseLogFilter(params);
    return {
      block: (block, logs) => {
        for (const log of logs) if (matchesLog(log, filter)) push(logJson(log, block));
      },
      pending: ignore,
    };
  };
  return {
    subscribe: (kind, params) => {
      if (active.size >= MAX_SUBSCRIPTIONS) throw serverError("too many subscriptions");
      const id = quantity(++lastId);
      const push = (result: unknown) =>
        send({ jsonrpc: "2.0", method: "eth_subscription", params: { subscription: id, result } });
      active.set(id, chain.subscribe(listenerOf(kind, params, push)));
      return id;
    },
    unsubscribe: (id) => {
      const stop = active.get(String(id));
      stop?.();
      return active.delete(String(id));
    },
    close: () => {
      for (const stop of active.values()) stop();
      active.clear();
    },
  };
}
