/** The JSON-RPC methods that clients use, as in the Ethereum execution API specification. */
import { setLengthLeft } from "@ethereumjs/util";
import { type BlockRecord, headerJson } from "./block-store.ts";
import type { Chain } from "./chain.ts";
import type { Filters } from "./filters.ts";
import { dataHex, hexKey, quantity } from "./format.ts";
import { estimateGas } from "./gas-estimate.ts";
import type { RpcMethods } from "./json-rpc.ts";
import { getLogs, numberOf } from "./log-query.ts";
import {
  parseAddress,
  parseBlockTag,
  parseData,
  parseHash,
  parseObject,
  parseQuantity,
  parseSafeInteger,
  parseSlot,
} from "./params.ts";
import { invalidParams, RpcError, rpcCodes, serverError } from "./rpc-error.ts";
import { BASE_FEE_WEI } from "./rules.ts";
import {
  assertSucceeded,
  blockAt,
  gasCap,
  parseCallRequest,
  parseOverrides,
  type Simulator,
} from "./simulation.ts";
import type { StateView } from "./state-store.ts";
import { transactionJson } from "./transaction-json.ts";

export const CLIENT_VERSION = "hydrogen-embedded-chain/0.1.0";

export function createEthMethods(chain: Chain, simulator: Simulator, filters: Filters): RpcMethods {
  const { blocks, latest, pool } = chain;
  const chainId = chain.rules.chainId();

  const blockByTag = (tag: unknown): BlockRecord | undefined =>
    blocks.byNumber(numberOf(chain, parseBlockTag(tag)));
  const blockByHash = (hash: unknown): BlockRecord | undefined => blocks.byHash(parseHash(hash));
  /** By number, name, or the object of EIP-1898. */
  const viewOf = (reference: unknown): StateView => {
    if (typeof reference === "object" && reference !== null) {
      const { blockHash, blockNumber } = parseObject(reference, "block");
      const block = blockHash === undefined ? blockByTag(blockNumber) : blockByHash(blockHash);
      if (block === undefined) throw serverError("header not found");
      return chain.states.viewAt(block.number);
    }
    const tag = parseBlockTag(reference);
    if (tag === "latest" || tag === "pending") return latest;
    const number = numberOf(chain, tag);
    if (number > chain.head().number) throw serverError("header not found");
    return chain.states.viewAt(number);
  };
  const account = (address: unknown, reference: unknown) =>
    viewOf(reference).account(hexKey(parseAddress(address)));
  const connectionOf = <T>(connection: T | undefined): T => {
    if (connection !== undefined) return connection;
    throw new RpcError(rpcCodes.methodNotFound, "notifications not supported");
  };
  const callTarget = (reference: unknown) => {
    if (typeof reference === "object" && reference !== null) {
      const { blockHash, blockNumber } = parseObject(reference, "block");
      const block = blockHash === undefined ? blockByTag(blockNumber) : blockByHash(blockHash);
      if (block === undefined) throw serverError("header not found");
      return block;
    }
    return blockAt(chain, parseBlockTag(reference));
  };

  return {
    web3_clientVersion: () => CLIENT_VERSION,
    net_version: () => chainId.toString(),
    net_listening: () => true,
    eth_chainId: () => quantity(chainId),
    eth_syncing: () => false,
    eth_accounts: () => [],
    eth_blockNumber: () => quantity(chain.head().number),

    eth_getBlockByNumber: ([tag, full]) => {
      const block = blockByTag(tag);
      return block === undefined ? null : blocks.blockJson(block, full === true);
    },
    eth_getBlockByHash: ([hash, full]) => {
      const block = blockByHash(hash);
      return block === undefined ? null : blocks.blockJson(block, full === true);
    },
    eth_getHeaderByNumber: ([tag]) => {
      const block = blockByTag(tag);
      return block === undefined ? null : headerJson(block);
    },
    eth_getBlockTransactionCountByNumber: ([tag]) => {
      const block = blockByTag(tag);
      return block === undefined ? null : quantity(blocks.transactionCount(block.number));
    },
    eth_getBlockTransactionCountByHash: ([hash]) => {
      const block = blockByHash(hash);
      return block === undefined ? null : quantity(blocks.transactionCount(block.number));
    },
    eth_getBlockReceipts: ([tag]) => {
      const isHash = typeof tag === "string" && tag.length === 66;
      const block = isHash ? blockByHash(tag) : blockByTag(tag);
      return block === undefined ? null : blocks.receiptsJson(block);
    },

    eth_getTransactionByHash: ([hash]) => {
      const bytes = parseHash(hash);
      const waiting = pool.get(hexKey(bytes));
      if (waiting !== undefined) return transactionJson(waiting.tx, Buffer.from(waiting.senderKey, "hex"));
      return blocks.transactionJson(bytes);
    },
    eth_getTransactionByBlockNumberAndIndex: ([tag, position]) =>
      blocks.transactionJsonAt(numberOf(chain, parseBlockTag(tag)), parseSafeInteger(position, "index")),
    eth_getTransactionByBlockHashAndIndex: ([hash, position]) => {
      const block = blockByHash(hash);
      return block === undefined
        ? null
        : blocks.transactionJsonAt(block.number, parseSafeInteger(position, "index"));
    },
    eth_getTransactionReceipt: ([hash]) => blocks.receiptJson(parseHash(hash)),
    eth_getRawTransactionByHash: ([hash]) => blocks.raw(parseHash(hash)),
    eth_getTransactionCount: ([address, reference]) => {
      const nonce = account(address, reference)?.nonce ?? 0n;
      return quantity(
        reference === "pending" ? pool.pendingNonce(hexKey(parseAddress(address)), nonce) : nonce,
      );
    },
    eth_getBalance: ([address, reference]) => quantity(account(address, reference)?.balanceWei ?? 0n),
    eth_getCode: ([address, reference]) => {
      const record = account(address, reference);
      return record === undefined ? "0x" : dataHex(latest.code(hexKey(record.codeHash)));
    },
    eth_getStorageAt: ([address, slot, reference]) =>
      dataHex(
        setLengthLeft(viewOf(reference).slot(hexKey(parseAddress(address)), hexKey(parseSlot(slot))), 32),
      ),

    eth_call: async ([request, reference, overrides]) => {
      const call = parseCallRequest(request);
      const outcome = await simulator.run(
        call,
        callTarget(reference),
        gasCap(call),
        parseOverrides(overrides),
      );
      assertSucceeded(outcome);
      return dataHex(outcome.returned);
    },
    eth_estimateGas: async ([request, reference, overrides]) =>
      quantity(
        await estimateGas(
          chain,
          simulator,
          parseCallRequest(request),
          callTarget(reference),
          parseOverrides(overrides),
        ),
      ),
    eth_gasPrice: () => quantity(BASE_FEE_WEI),
    eth_maxPriorityFeePerGas: () => "0x0",
    eth_feeHistory: ([count, newest, percentiles = []]) => {
      if (!Array.isArray(percentiles) || percentiles.length > 100) throw invalidParams("reward percentiles");
      const last = Math.min(numberOf(chain, parseBlockTag(newest)), chain.head().number);
      const first = Math.max(0, last + 1 - Math.min(parseSafeInteger(count, "block count"), 1_024));
      const gasUsedRatio: number[] = [];
      for (let number = first; number <= last; number++) {
        const { header } = blocks.byNumber(number)!;
        gasUsedRatio.push(Number(header.gasUsed) / Number(header.gasLimit));
      }
      return {
        oldestBlock: quantity(first),
        baseFeePerGas: Array.from({ length: gasUsedRatio.length + 1 }, () => quantity(BASE_FEE_WEI)),
        gasUsedRatio,
        ...(percentiles.length === 0 ? {} : { reward: gasUsedRatio.map(() => percentiles.map(() => "0x0")) }),
      };
    },
    eth_sendRawTransaction: async ([raw]) => `0x${await chain.submit(parseData(raw, "transaction"))}`,

    eth_getLogs: ([filter]) => getLogs(chain, filter),
    eth_newFilter: ([filter]) => filters.newLogFilter(filter),
    eth_newBlockFilter: () => filters.newBlockFilter(),
    eth_newPendingTransactionFilter: () => filters.newPendingTransactionFilter(),
    eth_getFilterChanges: ([id]) => filters.changes(id),
    eth_getFilterLogs: ([id]) => filters.logs(id),
    eth_uninstallFilter: ([id]) => filters.uninstall(id),
    eth_subscribe: ([kind, params], connection) => connectionOf(connection).subscribe(kind, params),
    eth_unsubscribe: ([id], connection) => connectionOf(connection).unsubscribe(id),
  };
}

/** For tests of what depends on time, or on a chain that changes its mind. */
export function createDevMethods(chain: Chain): RpcMethods {
  const snapshots = new Map<string, number>();
  return {
    evm_increaseTime: ([seconds]) => quantity(chain.shiftTime(parseSafeInteger(seconds, "seconds"))),
    evm_setNextBlockTimestamp: ([timestamp]) => {
      chain.setNextTimestamp(parseSafeInteger(timestamp, "timestamp"));
      return null;
    },
    evm_mine: async () => {
      await chain.mine();
      return "0x0";
    },
    evm_snapshot: () => {
      const id = quantity(snapshots.size + 1);
      snapshots.set(id, chain.head().number);
      return id;
    },
    evm_revert: async ([id]) => {
      const number = snapshots.get(quantity(parseQuantity(id, "snapshot")));
      if (number === undefined || number > chain.head().number) return false;
      await chain.rewind(number);
      return true;
    },
  };
}
