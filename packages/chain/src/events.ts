/** Logs of the three contracts as typed events. */

import { equalHex } from "@hydrogen/std";
import {
  type Address,
  type ContractEventArgsFromTopics,
  type ContractEventName,
  decodeEventLog,
  type Hex,
} from "viem";
import { type NodeAbi, nodeAbi, type TaskAbi, type TokenAbi, taskAbi, tokenAbi } from "./abi.ts";
import type { AddressBook, ContractName } from "./address-book.ts";

type EventPlace = {
  readonly blockNumber: bigint;
  readonly blockHash: Hex;
  readonly transactionHash: Hex;
  readonly logIndex: number;
};

type EventsOf<Contract extends ContractName, ContractAbi extends TokenAbi | NodeAbi | TaskAbi> = {
  [Name in ContractEventName<ContractAbi>]: {
    readonly contract: Contract;
    readonly name: Name;
    readonly args: ContractEventArgsFromTopics<ContractAbi, Name>;
  } & EventPlace;
}[ContractEventName<ContractAbi>];

export type TokenEvent = EventsOf<"token", TokenAbi>;
export type NodeEvent = EventsOf<"node", NodeAbi>;
export type TaskEvent = EventsOf<"task", TaskAbi>;

/** One log, decoded. Narrow it by `name`: `event.name === "TaskCreated"` types `event.args`. */
export type HydrogenEvent = TokenEvent | NodeEvent | TaskEvent;

/** The event of that name, for signatures: `EventNamed<"TaskCreated">`. */
export type EventNamed<Name extends HydrogenEvent["name"]> = Extract<HydrogenEvent, { name: Name }>;

export type RawLog = EventPlace & {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
};

const abis = { token: tokenAbi, node: nodeAbi, task: taskAbi } as const;

/** The events among `logs`, in their order; logs of other contracts and unknown topics are left out. */
export function decodeLogs(addresses: AddressBook, logs: readonly RawLog[]): HydrogenEvent[] {
  return logs.flatMap((log) => decodeLog(addresses, log) ?? []);
}

function decodeLog(addresses: AddressBook, log: RawLog): HydrogenEvent | undefined {
  const contract = contractAt(addresses, log.address);
  if (contract === undefined) return undefined;
  const decoded = tryDecode(contract, log);
  if (decoded === undefined) return undefined;
  return {
    contract,
    name: decoded.eventName,
    args: decoded.args,
    blockNumber: log.blockNumber,
    blockHash: log.blockHash,
    transactionHash: log.transactionHash,
    logIndex: log.logIndex,
  } as unknown as HydrogenEvent;
}

function tryDecode(contract: ContractName, log: RawLog) {
  try {
    return decodeEventLog({ abi: abis[contract], topics: log.topics as [Hex, ...Hex[]], data: log.data });
  } catch {
    return undefined; // an event that this version does not know, for example of an upgraded contract
  }
}

function contractAt(addresses: AddressBook, address: Address): ContractName | undefined {
  return (["task", "node", "token"] as const).find((name) => equalHex(addresses[name], address));
}
