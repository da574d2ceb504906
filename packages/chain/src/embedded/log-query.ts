/** The parameters of eth_getLogs, of log filters and of log subscriptions. */
import type { Chain } from "./chain.ts";
import { hexKey } from "./format.ts";
import { findLogs, type LogFilter, logJson } from "./log-index.ts";
import { type BlockTag, parseAddress, parseBlockTag, parseHash, parseObject } from "./params.ts";
import { invalidParams, serverError } from "./rpc-error.ts";

export function parseLogFilter(value: unknown): LogFilter {
  const { address, topics = [] } = parseObject(value ?? {}, "filter");
  if (!Array.isArray(topics) || topics.length > 4)
    throw invalidParams("topics must be an array of at most 4");
  return {
    addresses: listOf(address).map((one) => hexKey(parseAddress(one))),
    topics: topics.map((topic) => listOf(topic).map((one) => hexKey(parseHash(one, "topic")))),
  };
}

export type LogRange = { readonly from: BlockTag; readonly to: BlockTag };

export function parseLogRange(value: unknown): LogRange {
  const { fromBlock, toBlock } = parseObject(value ?? {}, "filter");
  return { from: parseBlockTag(fromBlock), to: parseBlockTag(toBlock) };
}

export function numberOf(chain: Chain, tag: BlockTag): number {
  if (typeof tag === "number") return tag;
  return tag === "earliest" ? 0 : chain.head().number;
}

export function logsBetween(
  chain: Chain,
  filter: LogFilter,
  from: number,
  to: number,
): Record<string, unknown>[] {
  let block = chain.head();
  return findLogs(chain.db, filter, from, to).map((found) => {
    if (found.block !== block.number) block = chain.blocks.byNumber(found.block)!;
    return logJson(found.log, block);
  });
}

export function getLogs(chain: Chain, value: unknown): Record<string, unknown>[] {
  const query = parseObject(value, "filter");
  const filter = parseLogFilter(query);
  if (query.blockHash !== undefined && query.blockHash !== null) {
    if (query.fromBlock != null || query.toBlock != null) {
      throw invalidParams("cannot specify both blockHash and fromBlock/toBlock");
    }
    const block = chain.blocks.byHash(parseHash(query.blockHash, "blockHash"));
    if (block === undefined) throw serverError("unknown block");
    return logsBetween(chain, filter, block.number, block.number);
  }
  const range = parseLogRange(query);
  const from = numberOf(chain, range.from);
  const to = numberOf(chain, range.to);
  if (from > to && typeof range.from === "number" && typeof range.to === "number") {
    throw invalidParams("invalid block range params");
  }
  return logsBetween(chain, filter, from, to);
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return [value];
  if (value.length > 1_000) throw invalidParams("exceed max addresses or topics per search position");
  return value;
}
