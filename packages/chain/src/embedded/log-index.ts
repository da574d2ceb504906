/** Event logs: their rows, their query by address, topics and block range, their JSON. */
import type { Database, Row } from "@hydrogen/storage";
import { bytesOf, dataHex, hexKey, quantity } from "./format.ts";
import { RpcError, rpcCodes } from "./rpc-error.ts";

export type LogRecord = {
  readonly logIndex: number;
  /** Of its transaction in the block. */
  readonly position: number;
  readonly transactionHash: Uint8Array;
  readonly address: Uint8Array;
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
};

type LogBlock = {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly header: { timestamp: bigint };
};

/** Hexadecimal keys without prefix. An empty list, like an absent one, matches everything. */
export type LogFilter = {
  readonly addresses: readonly string[];
  /** By position; at most four. */
  readonly topics: readonly (readonly string[])[];
};

const MAX_LOGS = 10_000;

export function matchesLog(log: LogRecord, filter: LogFilter): boolean {
  if (filter.addresses.length > 0 && !filter.addresses.includes(hexKey(log.address))) return false;
  return filter.topics.every((wanted, i) => {
    const topic = log.topics[i];
    return wanted.length === 0 || (topic !== undefined && wanted.includes(hexKey(topic)));
  });
}

export function logJson(log: LogRecord, block: LogBlock): Record<string, unknown> {
  return {
    address: dataHex(log.address),
    topics: log.topics.map(dataHex),
    data: dataHex(log.data),
    blockNumber: quantity(block.number),
    blockHash: dataHex(block.hash),
    blockTimestamp: quantity(block.header.timestamp),
    transactionHash: dataHex(log.transactionHash),
    transactionIndex: quantity(log.position),
    logIndex: quantity(log.logIndex),
    removed: false,
  };
}

/** The logs of one transaction of a block, or of the whole block. */
export function readLogs(db: Database, block: number, position?: number): LogRecord[] {
  return db
    .all(
      `SELECT l.*, t.hash AS transaction_hash FROM logs l JOIN transactions t ON t.block = l.block AND t.position = l.position
       WHERE l.block = ? AND (? IS NULL OR l.position = ?) ORDER BY l.log_index`,
      block,
      position ?? null,
      position ?? null,
    )
    .map(fromRow);
}

/**
 * @returns logs with their block, in order
 * @throws RpcError (limit exceeded) if there are more than 10,000
 */
export function findLogs(
  db: Database,
  filter: LogFilter,
  fromBlock: number,
  toBlock: number,
): { log: LogRecord; block: number }[] {
  // One parameter per list, so that the number of different statements stays small.
  const conditions = ["l.block BETWEEN ? AND ?"];
  const values: (string | number)[] = [fromBlock, toBlock];
  const oneOf = (column: string, keys: readonly string[]) => {
    if (keys.length === 0) return;
    conditions.push(`l.${column} IN (SELECT unhex(value) FROM json_each(?))`);
    values.push(JSON.stringify(keys));
  };
  oneOf("address", filter.addresses);
  for (const [i, keys] of filter.topics.entries()) oneOf(`topic${i}`, keys);
  const rows = db.all(
    `SELECT l.*, t.hash AS transaction_hash FROM logs l JOIN transactions t ON t.block = l.block AND t.position = l.position
     WHERE ${conditions.join(" AND ")} ORDER BY l.block, l.log_index LIMIT ${MAX_LOGS + 1}`,
    ...values,
  );
  if (rows.length > MAX_LOGS) {
    throw new RpcError(rpcCodes.limitExceeded, `query returned more than ${MAX_LOGS} results`);
  }
  return rows.map((row) => ({ log: fromRow(row), block: Number(row.block) }));
}

function fromRow(row: Row): LogRecord {
  return {
    logIndex: Number(row.log_index),
    position: Number(row.position),
    transactionHash: bytesOf(row.transaction_hash),
    address: bytesOf(row.address),
    topics: [row.topic0, row.topic1, row.topic2, row.topic3].filter((topic) => topic !== null).map(bytesOf),
    data: bytesOf(row.data),
  };
}
