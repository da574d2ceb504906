import type { Migration } from "@hydrogen/storage";

/** Every value of state is kept with the block that wrote it, so any block's state can be read and undone. */
export const migrations: readonly Migration[] = [
  {
    id: "embedded-chain-1",
    sql: `
CREATE TABLE chain (only INTEGER PRIMARY KEY CHECK (only = 0), chain_id INTEGER NOT NULL) STRICT;

CREATE TABLE accounts (
  address BLOB NOT NULL, block INTEGER NOT NULL, exist INTEGER NOT NULL,
  nonce TEXT NOT NULL, balance TEXT NOT NULL, code_hash BLOB NOT NULL,
  PRIMARY KEY (address, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE slots (
  address BLOB NOT NULL, slot BLOB NOT NULL, block INTEGER NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (address, slot, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE codes (hash BLOB PRIMARY KEY, code BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL, size_bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE transactions (
  hash BLOB PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL, raw BLOB NOT NULL, sender BLOB NOT NULL,
  succeeded INTEGER NOT NULL, gas_used INTEGER NOT NULL, cumulative_gas_used INTEGER NOT NULL, created BLOB
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX transactions_block ON transactions (block, position);
CREATE TABLE logs (
  block INTEGER NOT NULL, log_index INTEGER NOT NULL, position INTEGER NOT NULL, address BLOB NOT NULL,
  topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
  PRIMARY KEY (block, log_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX logs_address ON logs (address, topic0, block);
CREATE INDEX logs_topic ON logs (topic0, block);

CREATE TABLE pool (arrival INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL) STRICT;
`,
  },
];
