/** Contract functions as typed methods: views read at once, the others become calls to be sent. */
import {
  type Abi,
  type Address,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeFunctionResult,
  encodeDeployData,
  encodeFunctionData,
  type Hex,
  numberToHex,
} from "viem";
import { chainError } from "./errors.ts";
import { revertError } from "./revert.ts";
import type { EvmRpc } from "./rpc.ts";
import { revertDataOf } from "./rpc-errors.ts";

/** What a transaction does, ready to be signed. */
export type Call = {
  /** null deploys a contract. */
  readonly to: Address | null;
  readonly data: Hex;
  readonly valueWei: bigint;
  /** For errors and logs: "createTask". */
  readonly name: string;
  /** Decodes what it reverts with. */
  readonly abi: Abi;
};

type View = "view" | "pure";
type Write = "nonpayable" | "payable";

/** Every view function of the ABI. */
export type Reads<ContractAbi extends Abi> = {
  readonly [Name in ContractFunctionName<ContractAbi, View>]: (
    ...args: ContractFunctionArgs<ContractAbi, View, Name> & readonly unknown[]
  ) => Promise<ContractFunctionReturnType<ContractAbi, View, Name>>;
};

/** Every function of the ABI that needs a transaction. */
export type Calls<ContractAbi extends Abi> = {
  readonly [Name in ContractFunctionName<ContractAbi, Write>]: (
    ...args: ContractFunctionArgs<ContractAbi, Write, Name> & readonly unknown[]
  ) => Call;
};

/** The state to read: the newest, or that after a block. */
export type StateOf = "latest" | bigint;

/**
 * @param errors the ABI that decodes reverts; it may know the errors of other contracts called on the way
 * @throws (its methods) CONTRACT_NOT_FOUND, TRANSACTION_REVERTED, CHAIN_UNREACHABLE, CHAIN_BUSY, CHAIN_RPC_ERROR
 */
export function createReads<const ContractAbi extends Abi>(
  rpc: EvmRpc,
  contract: { abi: ContractAbi; address: Address; errors?: Abi },
  state: StateOf = "latest",
): Reads<ContractAbi> {
  const { abi, address, errors = abi } = contract;
  const read = async (functionName: string, args: readonly unknown[]) => {
    const data = encodeFunctionData({ abi: abi as Abi, functionName, args });
    const returned = await ethCall(rpc, { to: address, data, name: functionName, abi: errors }, state);
    if (returned === "0x") throw chainError("CONTRACT_NOT_FOUND", { address, function: functionName });
    return decodeFunctionResult({ abi: abi as Abi, functionName, data: returned });
  };
  return methods(abi, ["view", "pure"], read) as Reads<ContractAbi>;
}

/** Pure: nothing is sent. */
export function createCalls<const ContractAbi extends Abi>(contract: {
  abi: ContractAbi;
  address: Address;
  errors?: Abi;
}): Calls<ContractAbi> {
  const { abi, address, errors = abi } = contract;
  const call = (functionName: string, args: readonly unknown[]): Call => ({
    to: address,
    data: encodeFunctionData({ abi: abi as Abi, functionName, args }),
    valueWei: 0n,
    name: functionName,
    abi: errors,
  });
  return methods(abi, ["nonpayable", "payable"], call) as Calls<ContractAbi>;
}

/** Sends native currency. */
export function transferCall(to: Address, valueWei: bigint): Call {
  return { to, data: "0x", valueWei, name: "transfer of native currency", abi: [] };
}

/** Deploys a contract. */
export function deployCall(
  name: string,
  contract: { abi: Abi; bytecode: Hex; args: readonly unknown[] },
): Call {
  const { abi, bytecode, args } = contract;
  return { to: null, data: encodeDeployData({ abi, bytecode, args }), valueWei: 0n, name, abi };
}

/** Runs a call without a transaction and returns its bytes. @throws TRANSACTION_REVERTED and as `EvmRpc.request` */
export async function ethCall(
  rpc: EvmRpc,
  call: { to: Address | null; data: Hex; valueWei?: bigint; name: string; abi: Abi; from?: Address },
  state: StateOf = "latest",
): Promise<Hex> {
  const { to, data, valueWei = 0n, name, abi, from } = call;
  try {
    return await rpc.request({
      method: "eth_call",
      params: [
        {
          data,
          ...(to && { to }),
          ...(from && { from }),
          ...(valueWei > 0n && { value: numberToHex(valueWei) }),
        },
        state === "latest" ? state : numberToHex(state),
      ],
    });
  } catch (error) {
    const reverted = revertDataOf(error);
    throw reverted === undefined ? error : revertError(reverted, abi, { function: name }, error);
  }
}

function methods(
  abi: Abi,
  kinds: readonly string[],
  method: (name: string, args: readonly unknown[]) => unknown,
): Record<string, unknown> {
  const names = abi.flatMap((item) =>
    item.type === "function" && kinds.includes(item.stateMutability) ? [item.name] : [],
  );
  return Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => method(name, args)]));
}
