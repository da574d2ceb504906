import { createBlock } from "@ethereumjs/block";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createLegacyTx } from "@ethereumjs/tx";
import { createAddressFromString, type Address as EthAddress, hexToBytes } from "@ethereumjs/util";
import { createVM, runTx } from "@ethereumjs/vm";
import {
  type Abi,
  type Address,
  bytesToHex,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeErrorResult,
  decodeFunctionResult,
  encodeDeployData,
  encodeFunctionData,
  getAddress,
  type Hex,
  keccak256,
  parseEventLogs,
  toHex,
} from "viem";
import { JournaledState } from "./state.ts";

export interface Contract<A extends Abi = Abi> {
  readonly address: Address;
  readonly abi: A;
}

export interface RawLog {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
}

export interface Receipt {
  readonly gasUsed: bigint;
  readonly logs: readonly RawLog[];
  readonly created: Address | undefined;
}

/** A transaction or call that the contract refused, with its decoded custom error. */
export class Reverted extends Error {
  readonly data: Hex;
  readonly errorName: string;
  readonly args: readonly unknown[];

  constructor(data: Hex, abi: Abi, what: string) {
    let name = data === "0x" ? "out of gas or no reason" : data.slice(0, 10);
    let args: readonly unknown[] = [];
    try {
      const decoded = decodeErrorResult({ abi, data });
      name = decoded.errorName;
      args = decoded.args ?? [];
    } catch {
      // Not an error of this contract: its selector will have to do.
    }
    super(`${what} reverted: ${name}(${args.map(String).join(", ")})`);
    this.data = data;
    this.errorName = name;
    this.args = args;
  }
}

export type Evm = Awaited<ReturnType<typeof createEvm>>;

/** A real EVM in this process: one block per transaction, the clock and the block number in the test's hands. */
export async function createEvm(options: { readonly errorsAbi?: Abi; readonly seed?: bigint } = {}) {
  const common = new Common({ chain: Mainnet, hardfork: Hardfork.Prague });
  const stateManager = new JournaledState({ common });
  const seed = options.seed ?? 0n;
  const blockchain = {
    getBlock: async (number: number) => ({
      hash: () => hexToBytes(keccak256(toHex((seed << 64n) | BigInt(number), { size: 32 }))),
    }),
    putBlock: async () => {},
    shallowCopy: () => blockchain,
  };
  const vm = await createVM({ common, stateManager, blockchain });
  const gasLimit = 30_000_000n;
  let blockNumber = 100n;
  let timeSec = 1_800_000_000n;

  const block = () =>
    createBlock(
      { header: { number: blockNumber, timestamp: timeSec, gasLimit, baseFeePerGas: 0n } },
      { common, freeze: false },
    );

  async function transact(
    from: Address,
    to: Address | undefined,
    data: Hex,
    abi: Abi,
    what: string,
  ): Promise<Receipt> {
    blockNumber += 1n;
    const tx = createLegacyTx(
      {
        data: hexToBytes(data),
        gasLimit: 16_700_000n,
        gasPrice: 0n,
        ...(to === undefined ? {} : { to: createAddressFromString(to) }),
      },
      { common, freeze: false },
    );
    const sender: EthAddress = createAddressFromString(from);
    tx.getSenderAddress = () => sender;
    const result = await runTx(vm, { tx, block: block(), skipBalance: true, skipNonce: true });
    if (result.execResult.exceptionError !== undefined) {
      throw new Reverted(bytesToHex(result.execResult.returnValue), abi, what);
    }
    const logs = (result.execResult.logs ?? []).map(([address, topics, logData]) => ({
      address: getAddress(bytesToHex(address)),
      topics: topics.map((topic) => bytesToHex(topic)),
      data: bytesToHex(logData),
    }));
    const created = result.createdAddress;
    return {
      gasUsed: result.totalGasSpent,
      logs,
      created: created === undefined ? undefined : getAddress(created.toString()),
    };
  }

  return {
    /** Deploys a contract. */
    async deploy<const A extends Abi>(
      from: Address,
      artifact: { readonly abi: A; readonly bytecode: Hex },
      args: readonly unknown[] = [],
    ): Promise<Contract<A> & { gasUsed: bigint }> {
      const data = encodeDeployData({ abi: artifact.abi as Abi, bytecode: artifact.bytecode, args });
      const receipt = await transact(from, undefined, data, artifact.abi, "deployment");
      if (receipt.created === undefined) throw new Error("the deployment created nothing");
      return { address: receipt.created, abi: artifact.abi, gasUsed: receipt.gasUsed };
    },

    /** Sends a transaction in a block of its own. Throws {@link Reverted}. */
    async send<const A extends Abi, F extends ContractFunctionName<A, "nonpayable">>(
      from: Address,
      contract: Contract<A>,
      functionName: F,
      args: ContractFunctionArgs<A, "nonpayable", F>,
    ): Promise<Receipt> {
      const data = encodeFunctionData({
        abi: contract.abi as Abi,
        functionName: functionName as string,
        args: args as readonly unknown[],
      });
      return transact(
        from,
        contract.address,
        data,
        [...contract.abi, ...(options.errorsAbi ?? [])],
        functionName,
      );
    },

    /** Calls a view. Throws {@link Reverted}. */
    async call<const A extends Abi, F extends ContractFunctionName<A, "view" | "pure">>(
      contract: Contract<A>,
      functionName: F,
      args: ContractFunctionArgs<A, "view" | "pure", F>,
    ): Promise<ContractFunctionReturnType<A, "view" | "pure", F>> {
      const data = encodeFunctionData({
        abi: contract.abi as Abi,
        functionName: functionName as string,
        args: args as readonly unknown[],
      });
      await stateManager.checkpoint();
      const result = await vm.evm.runCall({
        to: createAddressFromString(contract.address),
        data: hexToBytes(data),
        gasLimit: 10_000_000_000n,
        block: block(),
      });
      await stateManager.revert();
      const output = bytesToHex(result.execResult.returnValue);
      if (result.execResult.exceptionError !== undefined)
        throw new Reverted(output, contract.abi, functionName);
      return decodeFunctionResult({
        abi: contract.abi as Abi,
        functionName: functionName as string,
        data: output,
      }) as ContractFunctionReturnType<A, "view" | "pure", F>;
    },

    advance(seconds: number | bigint): void {
      timeSec += BigInt(seconds);
    },
    mine(blocks: number): void {
      blockNumber += BigInt(blocks);
    },
    get timeSec(): bigint {
      return timeSec;
    },
    get blockNumber(): bigint {
      return blockNumber;
    },
  };
}

/** The events of a receipt that a contract's ABI knows. */
export function eventsOf(receipt: Receipt, abi: Abi) {
  const logs = receipt.logs.map((log, logIndex) => ({
    ...log,
    topics: [...log.topics] as [Hex, ...Hex[]],
    blockHash: null,
    blockNumber: null,
    logIndex,
    transactionHash: null,
    transactionIndex: null,
    removed: false,
  }));
  return parseEventLogs({ abi, logs: logs as never }).map((event) => ({
    name: event.eventName as string,
    args: event.args as unknown as Record<string, unknown>,
  }));
}
