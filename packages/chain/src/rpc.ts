/** A connection to an EVM chain's JSON-RPC: viem underneath, our errors and a shared watch on the head on top. */
import { type Clock, systemClock } from "@hydrogen/std";
import {
  createPublicClient,
  type EIP1193Parameters,
  type Hex,
  http,
  type PublicClient,
  type PublicRpcSchema,
  type Transport,
} from "viem";
import { chainError } from "./errors.ts";
import { createHeadWatch } from "./heads.ts";
import { type Log, noLog } from "./log.ts";
import { rpcError } from "./rpc-errors.ts";

export type Head = {
  readonly number: bigint;
  readonly hash: Hex;
  readonly parentHash: Hex;
  readonly timestampSec: number;
  /** undefined on chains without EIP-1559. */
  readonly baseFeeWei: bigint | undefined;
};

export type RpcOptions = {
  rpcUrl: string;
  /** Where `eth_subscribe` is spoken; without it the head is polled. */
  wsUrl?: string | undefined;
  /** Refused if the RPC serves another chain. Default: whichever it serves. */
  chainId?: number | undefined;
  /** Default 250. */
  pollMs?: number | undefined;
  /** Of one request; default 10,000. */
  timeoutMs?: number | undefined;
  /** Takes the place of HTTP, for example viem's `custom(window.ethereum)`. */
  transport?: Transport | undefined;
};

export type RpcDeps = {
  /** Closes the connection when it aborts. */
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  log?: Log | undefined;
};

export type EvmRpc = {
  readonly chainId: number;
  /** Of block 0: tells a chain from another that has its id, such as a development chain before and after a reset. */
  readonly genesisHash: Hex;
  readonly rpcUrl: string;
  /** For whatever is not here; its errors are viem's. */
  readonly client: PublicClient;
  /**
   * One JSON-RPC request with viem's types.
   *
   * @throws CHAIN_UNREACHABLE, CHAIN_BUSY, CHAIN_RPC_ERROR, CHAIN_CLOSED
   */
  request: PublicClient["request"];
  /** The newest block, asked for now. */
  head(): Promise<Head>;
  /** A block of the canonical chain by number, or any block by hash. @throws BLOCK_NOT_FOUND */
  block(at: bigint | Hex): Promise<Head>;
  /**
   * Resolves as soon as the head is another than `knownHash`: at once if it already is, else at the next block.
   * Outages are waited through.
   */
  nextHead(knownHash: Hex | undefined, signal?: AbortSignal): Promise<Head>;
  /** Ends waits and subscriptions; further requests throw CHAIN_CLOSED. */
  close(): void;
};

/**
 * Connects and checks the chain id.
 *
 * @throws CHAIN_UNREACHABLE, CHAIN_WRONG_ID
 */
export async function connectRpc(options: RpcOptions, deps: RpcDeps = {}): Promise<EvmRpc> {
  const { rpcUrl, wsUrl, pollMs = 250, timeoutMs = 10_000 } = options;
  const { clock = systemClock, log = noLog } = deps;
  const closing = new AbortController();
  const close = () => closing.abort(chainError("CHAIN_CLOSED", { rpcUrl }));
  deps.signal?.throwIfAborted();
  if (wsUrl !== undefined && !/^wss?:\/\//.test(wsUrl)) throw new RangeError(`not a WebSocket URL: ${wsUrl}`);
  deps.signal?.addEventListener("abort", close, { once: true, signal: closing.signal });
  const client = createPublicClient({
    transport: options.transport ?? http(rpcUrl, { timeout: timeoutMs, retryCount: 2, retryDelay: 100 }),
    cacheTime: 0,
    ccipRead: false,
  }) as PublicClient;

  const request = async (args: EIP1193Parameters<PublicRpcSchema>) => {
    closing.signal.throwIfAborted();
    try {
      return await (client.request as (args: EIP1193Parameters<PublicRpcSchema>) => Promise<unknown>)(args);
    } catch (error) {
      throw rpcError(error, { method: args.method, rpcUrl });
    }
  };
  const rpcRequest = request as PublicClient["request"];

  const chainId = Number(await rpcRequest({ method: "eth_chainId" }));
  if (options.chainId !== undefined && options.chainId !== chainId)
    throw chainError("CHAIN_WRONG_ID", { rpcUrl, expected: options.chainId, actual: chainId });

  const block = async (at: bigint | Hex | "latest"): Promise<Head> => {
    const found =
      typeof at === "bigint" || at === "latest"
        ? await rpcRequest({
            method: "eth_getBlockByNumber",
            params: [at === "latest" ? at : `0x${at.toString(16)}`, false],
          })
        : await rpcRequest({ method: "eth_getBlockByHash", params: [at, false] });
    if (found === null || found.hash === null || found.number === null)
      throw chainError("BLOCK_NOT_FOUND", { block: at });
    return toHead(found as RpcHead);
  };
  const head = () => block("latest");
  const watch = createHeadWatch({ wsUrl, pollMs, head }, { clock, log, signal: closing.signal });
  const genesisHash = (await block(0n)).hash;
  return {
    chainId,
    genesisHash,
    rpcUrl,
    client,
    request: rpcRequest,
    head,
    block,
    nextHead: watch.next,
    close,
  };
}

export type RpcHead = { number: Hex; hash: Hex; parentHash: Hex; timestamp: Hex; baseFeePerGas?: Hex | null };

/** A block header as JSON-RPC spells it. */
export function toHead(header: RpcHead): Head {
  return {
    number: BigInt(header.number),
    hash: header.hash,
    parentHash: header.parentHash,
    timestampSec: Number(header.timestamp),
    baseFeeWei: header.baseFeePerGas == null ? undefined : BigInt(header.baseFeePerGas),
  };
}
