/** Executes transactions on top of a block and seals the next one, without writing anything. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Block, createBlock, genTransactionsTrieRoot, type HeaderData } from "@ethereumjs/block";
import type { Common } from "@ethereumjs/common";
import { createMPT } from "@ethereumjs/mpt";
import { RLP } from "@ethereumjs/rlp";
import { type RunTxResult, runTx } from "@ethereumjs/vm";
import { keccak256 } from "viem";
import type { BlockRecord, ReceiptRecord } from "./block-store.ts";
import type { EvmHost } from "./evm-host.ts";
import type { LogRecord } from "./log-index.ts";
import { BASE_FEE_WEI, BLOCK_GAS_LIMIT } from "./rules.ts";
import type { StateChanges, StateView } from "./state-store.ts";
import type { PooledTransaction } from "./tx-pool.ts";

export type BuiltBlock = {
  readonly block: BlockRecord;
  readonly included: readonly PooledTransaction[];
  /** Could not be executed now, with the reason; the state is as if they had not been tried. */
  readonly refused: readonly { readonly entry: PooledTransaction; readonly reason: unknown }[];
  readonly receipts: readonly ReceiptRecord[];
  readonly logs: readonly LogRecord[];
  readonly changes: StateChanges;
};

/** How long execution may keep other requests waiting. */
const TURN_MS = 15;

export async function buildBlock(
  { vm, state }: EvmHost,
  rules: Common,
  latest: StateView,
  parent: BlockRecord,
  candidates: readonly PooledTransaction[],
  context: { timestampSec: number; random: Uint8Array },
): Promise<BuiltBlock> {
  const base: HeaderData = nextHeader(parent, context.timestampSec, context.random);
  const draft = emptyBlock(base, rules);
  state.reset(latest);
  const included: PooledTransaction[] = [];
  const results: RunTxResult[] = [];
  const refused: { entry: PooledTransaction; reason: unknown }[] = [];
  const skippedSenders = new Set<string>();
  let gasUsed = 0n;
  let turnStart = performance.now();
  for (const entry of candidates) {
    const full = gasUsed + entry.tx.gasLimit > BLOCK_GAS_LIMIT;
    if (full || skippedSenders.has(entry.senderKey)) {
      skippedSenders.add(entry.senderKey);
      continue;
    }
    try {
      const result = await runTx(vm, {
        tx: entry.tx,
        block: draft,
        blockGasUsed: gasUsed,
        skipBlockGasLimitValidation: true,
        skipHardForkValidation: true,
      });
      included.push(entry);
      results.push(result);
      gasUsed += result.totalGasSpent;
    } catch (reason) {
      refused.push({ entry, reason });
      skippedSenders.add(entry.senderKey);
    }
    if (performance.now() - turnStart > TURN_MS) {
      await nextTurn();
      turnStart = performance.now();
    }
  }
  const changes = state.changes();
  const header = emptyBlock(
    {
      ...base,
      gasUsed,
      stateRoot: chainedStateRoot(parent.header.stateRoot, changes),
      transactionsTrie: await genTransactionsTrieRoot(
        included.map(({ tx }) => tx),
        await createMPT({ common: rules }),
      ),
      receiptTrie: await receiptsRoot(included, results, rules),
      logsBloom: joinBlooms(results),
    },
    rules,
  ).header;
  const sizeBytes = included.reduce((sum, { raw }) => sum + raw.length, header.serialize().length);
  return {
    block: { number: parent.number + 1, hash: header.hash(), header, sizeBytes },
    included,
    refused,
    ...receiptsOf(included, results),
    changes,
  };
}

/** The header fields known before execution. `random` becomes PREVRANDAO. */
export function nextHeader(parent: BlockRecord, timestampSec: number, random: Uint8Array): HeaderData {
  return {
    number: BigInt(parent.number + 1),
    parentHash: parent.hash,
    timestamp: BigInt(timestampSec),
    gasLimit: BLOCK_GAS_LIMIT,
    baseFeePerGas: BASE_FEE_WEI,
    mixHash: random,
  };
}

export function emptyBlock(header: HeaderData, rules: Common): Block {
  return createBlock({ header }, { common: rules, skipConsensusFormatValidation: true });
}

/**
 * Without a trie there is no Merkle root; this field commits to the same thing in another way: keccak256 of the parent's
 * value and everything the block changed, sorted.
 */
export function chainedStateRoot(parentRoot: Uint8Array, changes: StateChanges): Uint8Array {
  const sorted = <Value>(map: ReadonlyMap<string, Value>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const accounts = sorted(changes.accounts).map(([address, record]) =>
    record === undefined
      ? [`0x${address}`]
      : [`0x${address}`, record.nonce, record.balanceWei, record.codeHash],
  );
  const slots = sorted(changes.slots).map(([address, values]) => [
    `0x${address}`,
    sorted(values).map(([slot, value]) => [`0x${slot}`, value]),
  ]);
  return keccak256(RLP.encode([parentRoot, accounts, slots]), "bytes");
}

async function receiptsRoot(
  included: readonly PooledTransaction[],
  results: readonly RunTxResult[],
  rules: Common,
): Promise<Uint8Array> {
  const trie = await createMPT({ common: rules });
  let cumulative = 0n;
  for (const [position, result] of results.entries()) {
    cumulative += result.totalGasSpent;
    const body = RLP.encode([
      succeeded(result) ? 1 : 0,
      cumulative,
      result.bloom.bitvector,
      result.receipt.logs,
    ]);
    const type = included[position]!.tx.type;
    await trie.put(RLP.encode(position), type === 0 ? body : Buffer.concat([Uint8Array.of(type), body]));
  }
  return trie.root();
}

function joinBlooms(results: readonly RunTxResult[]): Uint8Array {
  const joined = new Uint8Array(256);
  for (const { bloom } of results) {
    for (let i = 0; i < joined.length; i++) joined[i]! |= bloom.bitvector[i]!;
  }
  return joined;
}

function receiptsOf(included: readonly PooledTransaction[], results: readonly RunTxResult[]) {
  const receipts: ReceiptRecord[] = [];
  const logs: LogRecord[] = [];
  let cumulativeGasUsed = 0n;
  for (const [position, result] of results.entries()) {
    const { tx, raw, senderKey } = included[position]!;
    const hash = tx.hash();
    cumulativeGasUsed += result.totalGasSpent;
    receipts.push({
      hash,
      raw,
      sender: Buffer.from(senderKey, "hex"),
      succeeded: succeeded(result),
      gasUsed: result.totalGasSpent,
      cumulativeGasUsed,
      created: result.createdAddress?.bytes,
    });
    for (const [address, topics, data] of result.receipt.logs) {
      logs.push({ logIndex: logs.length, position, transactionHash: hash, address, topics, data });
    }
  }
  return { receipts, logs };
}

const succeeded = (result: RunTxResult): boolean => result.execResult.exceptionError === undefined;
