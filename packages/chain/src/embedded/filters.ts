/** eth_newFilter and its kin. A filter is a cursor into the chain, not a queue: it costs the same however seldom it is asked. */
import type { Clock } from "@hydrogen/std";
import type { Chain } from "./chain.ts";
import { dataHex, quantity } from "./format.ts";
import type { LogFilter } from "./log-index.ts";
import { type LogRange, logsBetween, numberOf, parseLogFilter, parseLogRange } from "./log-query.ts";
import { serverError } from "./rpc-error.ts";

type Filter = { askedMs: number } & (
  | { readonly kind: "logs"; readonly filter: LogFilter; readonly range: LogRange; cursor: number }
  | { readonly kind: "blocks"; cursor: number }
  | { readonly kind: "pending"; cursor: number }
);

export type Filters = {
  newLogFilter(params: unknown): string;
  newBlockFilter(): string;
  newPendingTransactionFilter(): string;
  changes(id: unknown): unknown[];
  logs(id: unknown): unknown[];
  uninstall(id: unknown): boolean;
};

const EXPIRY_MS = 5 * 60_000;
const MAX_FILTERS = 10_000;
/** Hashes of pending transactions kept for filters; who asks more seldom than this fills misses some. */
const MAX_PENDING = 8_192;

export function createFilters(chain: Chain, clock: Clock): Filters {
  const filters = new Map<string, Filter>();
  const pending: string[] = [];
  let pendingSeen = 0;
  let lastId = 0n;
  chain.subscribe({
    block: () => undefined,
    pending: (entry) => {
      pending.push(`0x${entry.hashKey}`);
      pendingSeen++;
      if (pending.length > 2 * MAX_PENDING) pending.splice(0, MAX_PENDING);
    },
  });

  const install = (filter: Filter): string => {
    for (const [id, { askedMs }] of filters) if (askedMs + EXPIRY_MS < clock.nowMs()) filters.delete(id);
    if (filters.size >= MAX_FILTERS) throw serverError("too many filters");
    const id = quantity(++lastId);
    filters.set(id, filter);
    return id;
  };
  const find = (id: unknown): Filter => {
    const filter = filters.get(String(id));
    if (filter === undefined) throw serverError("filter not found");
    filter.askedMs = clock.nowMs();
    return filter;
  };

  return {
    newLogFilter: (params) =>
      install({
        kind: "logs",
        filter: parseLogFilter(params),
        range: parseLogRange(params),
        cursor: chain.head().number,
        askedMs: clock.nowMs(),
      }),
    newBlockFilter: () => install({ kind: "blocks", cursor: chain.head().number, askedMs: clock.nowMs() }),
    newPendingTransactionFilter: () =>
      install({ kind: "pending", cursor: pendingSeen, askedMs: clock.nowMs() }),
    changes: (id) => {
      const filter = find(id);
      if (filter.kind === "pending") {
        const missed = pendingSeen - filter.cursor;
        filter.cursor = pendingSeen;
        return missed === 0 ? [] : pending.slice(-missed);
      }
      const head = chain.head().number;
      const first = Math.min(filter.cursor, head) + 1;
      filter.cursor = head;
      if (filter.kind === "logs") {
        const { from, to } = filter.range;
        const start = typeof from === "number" ? Math.max(first, from) : first;
        const end = typeof to === "number" ? Math.min(head, to) : head;
        return start > end ? [] : logsBetween(chain, filter.filter, start, end);
      }
      const hashes: string[] = [];
      for (let number = first; number <= head; number++) hashes.push(dataHex(chain.blocks.hashOf(number)!));
      return hashes;
    },
    logs: (id) => {
      const filter = find(id);
      if (filter.kind !== "logs") throw serverError("filter not found");
      const { from, to } = filter.range;
      return logsBetween(chain, filter.filter, numberOf(chain, from), numberOf(chain, to));
    },
    uninstall: (id) => filters.delete(String(id)),
  };
}
