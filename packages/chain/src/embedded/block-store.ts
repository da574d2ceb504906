/** Blocks, transactions, receipts and logs in SQLite, and the JSON that clients read. */
import { type BlockHeader, createBlockHeaderFromRLP } from "@ethereumjs/block";
import type { Common } from "@ethereumjs/common";
import { createTxFromRLP, type TypedTransaction } from "@ethereumjs/tx";
import { Bloom } from "@ethereumjs/vm";
import type { Hex } from "@hydrogen/std";
import type { Database, Row } from "@hydrogen/storage";
import { bytesOf, dataHex, quantity } from "./format.ts";
import { type LogRecord, logJson, readLogs } from "./log-index.ts";
import { effectiveGasPriceWei, transactionJson } from "./transaction-json.ts";

export type BlockRecord = {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly header: BlockHeader;
  readonly sizeBytes: number;
};

export type ReceiptRecord = {
  readonly hash: Uint8Array;
  readonly raw: Uint8Array;
  readonly sender: Uint8Array;
  readonly succeeded: boolean;
  readonly gasUsed: bigint;
  readonly cumulativeGasUsed: bigint;
  readonly created: Uint8Array | undefined;
};

export type BlockStore = {
  head(): BlockRecord | undefined;
  byNumber(number: number): BlockRecord | undefined;
  byHash(hash: Uint8Array): BlockRecord | undefined;
  hashOf(number: number): Uint8Array | undefined;
  /** Must run inside the transaction that also writes the state. */
  write(block: BlockRecord, receipts: readonly ReceiptRecord[], logs: readonly LogRecord[]): void;
  undoAfter(number: number): void;
  raw(hash: Uint8Array): Hex | null;
  transactionCount(number: number): number;
  blockJson(block: BlockRecord, full: boolean): Record<string, unknown>;
  transactionJson(hash: Uint8Array): Record<string, unknown> | null;
  transactionJsonAt(number: number, position: number): Record<string, unknown> | null;
  receiptJson(hash: Uint8Array): Record<string, unknown> | null;
  receiptsJson(block: BlockRecord): Record<string, unknown>[];
};

export function createBlockStore(db: Database, rules: Common): BlockStore {
  const fromRow = (row: Row | undefined): BlockRecord | undefined =>
    row === undefined
      ? undefined
      : {
          number: Number(row.number),
          hash: bytesOf(row.hash),
          header: createBlockHeaderFromRLP(bytesOf(row.header), {
            common: rules,
            skipConsensusFormatValidation: true,
          }),
          sizeBytes: Number(row.size_bytes),
        };
  const byNumber = (number: number) => fromRow(db.get("SELECT * FROM blocks WHERE number = ?", number));
  const decode = (row: Row): TypedTransaction => createTxFromRLP(bytesOf(row.raw), { common: rules });
  const minedJson = (row: Row, block: BlockRecord): Record<string, unknown> =>
    transactionJson(decode(row), bytesOf(row.sender), {
      blockHash: block.hash,
      blockNumber: block.number,
      position: Number(row.position),
      baseFeeWei: block.header.baseFeePerGas ?? 0n,
    });
  const receiptFrom = (row: Row, block: BlockRecord): Record<string, unknown> => {
    const logs = readLogs(db, block.number, Number(row.position));
    const bloom = new Bloom();
    for (const log of logs) {
      bloom.add(log.address);
      for (const topic of log.topics) bloom.add(topic);
    }
    const tx = decode(row);
    return {
      type: quantity(tx.type),
      status: row.succeeded === 1 ? "0x1" : "0x0",
      transactionHash: dataHex(bytesOf(row.hash)),
      transactionIndex: quantity(Number(row.position)),
      blockHash: dataHex(block.hash),
      blockNumber: quantity(block.number),
      from: dataHex(bytesOf(row.sender)),
      to: tx.to === undefined ? null : tx.to.toString(),
      contractAddress: row.created === null ? null : dataHex(bytesOf(row.created)),
      gasUsed: quantity(Number(row.gas_used)),
      cumulativeGasUsed: quantity(Number(row.cumulative_gas_used)),
      effectiveGasPrice: quantity(effectiveGasPriceWei(tx, block.header.baseFeePerGas ?? 0n)),
      logs: logs.map((log) => logJson(log, block)),
      logsBloom: dataHex(bloom.bitvector),
    };
  };
  const rowsOf = (number: number): Row[] =>
    db.all("SELECT * FROM transactions WHERE block = ? ORDER BY position", number);
  const rowOf = (hash: Uint8Array): Row | undefined =>
    db.get("SELECT * FROM transactions WHERE hash = ?", hash);

  return {
    head: () => fromRow(db.get("SELECT * FROM blocks ORDER BY number DESC LIMIT 1")),
    byNumber,
    byHash: (hash) => fromRow(db.get("SELECT * FROM blocks WHERE hash = ?", hash)),
    hashOf: (number) => {
      const row = db.get("SELECT hash FROM blocks WHERE number = ?", number);
      return row === undefined ? undefined : bytesOf(row.hash);
    },
    write: (block, receipts, logs) => {
      db.run(
        "INSERT INTO blocks (number, hash, header, size_bytes) VALUES (?, ?, ?, ?)",
        block.number,
        block.hash,
        block.header.serialize(),
        block.sizeBytes,
      );
      receipts.forEach((receipt, position) => {
        db.run(
          "INSERT INTO transactions (hash, block, position, raw, sender, succeeded, gas_used, cumulative_gas_used, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
          receipt.hash,
          block.number,
          position,
          receipt.raw,
          receipt.sender,
          receipt.succeeded ? 1 : 0,
          receipt.gasUsed,
          receipt.cumulativeGasUsed,
          receipt.created ?? null,
        );
        db.run("DELETE FROM pool WHERE hash = ?", receipt.hash);
      });
      for (const log of logs) {
        db.run(
          "INSERT INTO logs (block, log_index, position, address, topic0, topic1, topic2, topic3, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
          block.number,
          log.logIndex,
          log.position,
          log.address,
          log.topics[0] ?? null,
          log.topics[1] ?? null,
          log.topics[2] ?? null,
          log.topics[3] ?? null,
          log.data,
        );
      }
    },
    undoAfter: (number) => {
      db.run("DELETE FROM logs WHERE block > ?", number);
      db.run("DELETE FROM transactions WHERE block > ?", number);
      db.run("DELETE FROM blocks WHERE number > ?", number);
    },
    raw: (hash) => {
      const row = rowOf(hash);
      return row === undefined ? null : dataHex(bytesOf(row.raw));
    },
    transactionCount: (number) =>
      Number(db.get("SELECT count(*) AS count FROM transactions WHERE block = ?", number)?.count ?? 0),
    blockJson: (block, full) => blockJson(block, rowsOf(block.number), full ? minedJson : undefined),
    transactionJson: (hash) => {
      const row = rowOf(hash);
      return row === undefined ? null : minedJson(row, byNumber(Number(row.block))!);
    },
    transactionJsonAt: (number, position) => {
      const row = db.get("SELECT * FROM transactions WHERE block = ? AND position = ?", number, position);
      return row === undefined ? null : minedJson(row, byNumber(number)!);
    },
    receiptJson: (hash) => {
      const row = rowOf(hash);
      return row === undefined ? null : receiptFrom(row, byNumber(Number(row.block))!);
    },
    receiptsJson: (block) => rowsOf(block.number).map((row) => receiptFrom(row, block)),
  };
}

/** A header as `newHeads` announces it and blocks contain it. */
export function headerJson(block: BlockRecord): Record<string, unknown> {
  const { header } = block;
  return {
    number: quantity(block.number),
    hash: dataHex(block.hash),
    parentHash: dataHex(header.parentHash),
    nonce: dataHex(header.nonce),
    sha3Uncles: dataHex(header.uncleHash),
    logsBloom: dataHex(header.logsBloom),
    transactionsRoot: dataHex(header.transactionsTrie),
    stateRoot: dataHex(header.stateRoot),
    receiptsRoot: dataHex(header.receiptTrie),
    miner: header.coinbase.toString(),
    difficulty: "0x0",
    extraData: dataHex(header.extraData),
    gasLimit: quantity(header.gasLimit),
    gasUsed: quantity(header.gasUsed),
    timestamp: quantity(header.timestamp),
    mixHash: dataHex(header.mixHash),
    baseFeePerGas: quantity(header.baseFeePerGas ?? 0n),
  };
}

function blockJson(
  block: BlockRecord,
  rows: readonly Row[],
  full: ((row: Row, block: BlockRecord) => Record<string, unknown>) | undefined,
): Record<string, unknown> {
  const transactions: (Hex | Record<string, unknown>)[] = rows.map((row) =>
    full === undefined ? dataHex(bytesOf(row.hash)) : full(row, block),
  );
  return {
    ...headerJson(block),
    totalDifficulty: "0x0",
    size: quantity(block.sizeBytes),
    uncles: [],
    withdrawals: [],
    transactions,
  };
}
