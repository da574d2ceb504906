/** A Hydrogen network on a chain: its contracts' views, calls and events. */
import { type Hex, numberToHex } from "viem";
import {
  contractErrors,
  type NodeAbi,
  nodeAbi,
  type TaskAbi,
  type TokenAbi,
  taskAbi,
  tokenAbi,
} from "./abi.ts";
import type { AddressBook } from "./address-book.ts";
import { type Calls, createCalls, createReads, type Reads, type StateOf } from "./calls.ts";
import { decodeLogs, type HydrogenEvent, type RawLog } from "./events.ts";
import { connectRpc, type EvmRpc, type RpcDeps, type RpcOptions } from "./rpc.ts";

export type NetworkReads = {
  readonly token: Reads<TokenAbi>;
  readonly node: Reads<NodeAbi>;
  readonly task: Reads<TaskAbi>;
};

export type NetworkCalls = {
  readonly token: Calls<TokenAbi>;
  readonly node: Calls<NodeAbi>;
  readonly task: Calls<TaskAbi>;
};

/** Inclusive block range, or exactly one block by its hash; of one task if it is named. */
export type LogRange = ({ fromBlock: bigint; toBlock: bigint } | { blockHash: Hex }) & {
  taskId?: bigint | undefined;
};

export type Chain = EvmRpc &
  NetworkReads & {
    readonly addresses: AddressBook;
    /** Builds calls for a sender: `sender.send({ key, call: chain.calls.task.createTask(…) })`. */
    readonly calls: NetworkCalls;
    /** The same views, after a given block. */
    at(state: StateOf): NetworkReads;
    blockNumber(): Promise<bigint>;
    /** Events of the three contracts in chain order. @throws as `request`; providers refuse ranges that are too large */
    getLogs(range: LogRange): Promise<HydrogenEvent[]>;
    /** The events of a receipt's logs. */
    eventsIn(receipt: { readonly logs: readonly RawLog[] }): HydrogenEvent[];
  };

/**
 * Connects to the network that the address book describes.
 *
 * @throws CHAIN_UNREACHABLE, CHAIN_WRONG_ID if the RPC serves another chain than the address book's
 */
export async function connectChain(
  options: RpcOptions & { addresses: AddressBook },
  deps: RpcDeps = {},
): Promise<Chain> {
  const { addresses } = options;
  return createChain(await connectRpc({ ...options, chainId: addresses.chainId }, deps), addresses);
}

/** The network at these addresses, over a connection that exists. */
export function createChain(rpc: EvmRpc, addresses: AddressBook): Chain {
  const token = { abi: tokenAbi, address: addresses.token, errors: contractErrors };
  const node = { abi: nodeAbi, address: addresses.node, errors: contractErrors };
  const task = { abi: taskAbi, address: addresses.task, errors: contractErrors };
  const at = (state: StateOf): NetworkReads => ({
    token: createReads(rpc, token, state),
    node: createReads(rpc, node, state),
    task: createReads(rpc, task, state),
  });
  return {
    ...rpc,
    ...at("latest"),
    addresses,
    calls: { token: createCalls(token), node: createCalls(node), task: createCalls(task) },
    at,
    blockNumber: async () => BigInt(await rpc.request({ method: "eth_blockNumber" })),
    getLogs: async (range) => {
      const place =
        "blockHash" in range
          ? { blockHash: range.blockHash }
          : { fromBlock: numberToHex(range.fromBlock), toBlock: numberToHex(range.toBlock) };
      const { taskId } = range;
      // All events of a task, and those of no other contract, have its id as their first indexed argument.
      const filter =
        taskId === undefined
          ? { address: [addresses.token, addresses.node, addresses.task] }
          : { address: addresses.task, topics: [null, numberToHex(taskId, { size: 32 })] };
      const logs = await rpc.request({ method: "eth_getLogs", params: [{ ...place, ...filter }] });
      const events = decodeLogs(
        addresses,
        logs.map((log) => ({
          address: log.address,
          topics: log.topics,
          data: log.data,
          blockNumber: BigInt(log.blockNumber!),
          blockHash: log.blockHash!,
          transactionHash: log.transactionHash!,
          logIndex: Number(log.logIndex),
        })),
      );
      return taskId === undefined ? events : events.filter(({ args }) => "taskId" in args);
    },
    eventsIn: (receipt) => decodeLogs(addresses, receipt.logs),
  };
}
