/** Puts a network's contracts on a chain. The sender's outbox is the journal: an interrupted deployment is completed. */
import { crynuxTokenBytecode, taskBytecode } from "@hydrogen/contracts";
import { type Address, getAddress, type Hex } from "viem";
import { taskAbi, tokenAbi } from "./abi.ts";
import type { AddressBook } from "./address-book.ts";
import { type Call, createCalls, createReads, deployCall } from "./calls.ts";
import { createChain } from "./chain.ts";
import { chainError } from "./errors.ts";
import { type Log, noLog } from "./log.ts";
import type { Receipt } from "./receipt.ts";
import type { EvmRpc } from "./rpc.ts";
import type { Sender } from "./sender.ts";

/** What the owner may change; units as the contracts have them. Those left out keep the contracts' defaults. */
export type NetworkParameters = {
  readonly [Name in TaskParameter | "stakeWei"]?: bigint | undefined;
};

const taskParameters = [
  "feeWei",
  "missPenaltyGwei",
  "queueSec",
  "commitSec",
  "graceSec",
  "revealSec",
  "uploadSec",
  "errorFeeBps",
  "distanceThreshold",
] as const;
type TaskParameter = (typeof taskParameters)[number];

export type DeployOptions = {
  rpc: EvmRpc;
  /** Pays for the deployment and owns the contracts. Its outbox must be kept for as long as the network. */
  sender: Sender;
  /** Receives penalties and slashed stakes. */
  pool: Address;
  /** Receives the CNX that exist from the start. Default: the sender. */
  initialHolder?: Address | undefined;
  parameters?: NetworkParameters | undefined;
};

/**
 * Deploys the token, then the task contract, which deploys the node contract and is bound to it for good, then sets the
 * parameters. Calling it again completes or returns the same network; options of a deployment that has begun
 * count no more.
 *
 * @throws TRANSACTION_REVERTED (ParameterOutOfBounds, StakeOutOfBounds …), INSUFFICIENT_FUNDS, DEPLOYMENT_BROKEN if the
 * chain no longer has what the outbox says was deployed; as `Sender.send`
 */
export async function deployNetwork(
  options: DeployOptions,
  deps: { log?: Log | undefined; signal?: AbortSignal | undefined } = {},
): Promise<AddressBook> {
  const { rpc, sender, pool, parameters = {} } = options;
  const { log = noLog, signal } = deps;
  const names: readonly string[] = [...taskParameters, "stakeWei"];
  const unknown = Object.keys(parameters).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new RangeError(`there is no network parameter ${unknown}`);

  /** Never compared with what is in the outbox: contracts of a newer version must not replace those of a network. */
  const once = async (step: string, call: () => Promise<Call> | Call): Promise<Receipt> => {
    const key = `deploy:${step}`;
    if (sender.record(key) === undefined) {
      log.info("deploying", { step });
      await sender.submit({ key, call: await call() });
    }
    return (await sender.wait(key, { signal })).receipt;
  };

  const tokenReceipt = await once("token", () =>
    deployCall("CrynuxToken", {
      abi: tokenAbi,
      bytecode: crynuxTokenBytecode,
      args: [options.initialHolder ?? sender.address],
    }),
  );
  const token = await deployedAt(rpc, "CrynuxToken", tokenReceipt);
  const taskReceipt = await once("task", () =>
    deployCall("Task", { abi: taskAbi, bytecode: taskBytecode, args: [token, pool, sender.address] }),
  );
  const task = await deployedAt(rpc, "Task", taskReceipt);
  const node = await createReads(rpc, { abi: taskAbi, address: task }).node();
  const addresses = { chainId: rpc.chainId, token, node, task, deployedBlock: tokenReceipt.blockNumber };

  const chain = createChain(rpc, addresses);
  if (parameters.stakeWei !== undefined) {
    const { stakeWei } = parameters;
    await once("stake", () => chain.calls.node.setStakeAmount(stakeWei));
  }
  if (taskParameters.some((name) => parameters[name] !== undefined))
    await once("parameters", async () =>
      setParametersCall(task, await chain.task.getParameters(), parameters),
    );
  return addresses;
}

function setParametersCall(
  task: Address,
  current: Readonly<Record<TaskParameter, bigint | number>>,
  wanted: NetworkParameters,
): Call {
  const value = (name: TaskParameter) => wanted[name] ?? BigInt(current[name]);
  return createCalls({ abi: taskAbi, address: task }).setParameters({
    feeWei: value("feeWei"),
    missPenaltyGwei: Number(value("missPenaltyGwei")),
    queueSec: Number(value("queueSec")),
    commitSec: Number(value("commitSec")),
    graceSec: Number(value("graceSec")),
    revealSec: Number(value("revealSec")),
    uploadSec: Number(value("uploadSec")),
    errorFeeBps: Number(value("errorFeeBps")),
    distanceThreshold: Number(value("distanceThreshold")),
  });
}

async function deployedAt(rpc: EvmRpc, contract: string, receipt: Receipt): Promise<Address> {
  const address = getAddress(receipt.contractAddress!);
  const code: Hex | undefined = await rpc.request({ method: "eth_getCode", params: [address, "latest"] });
  if (code === undefined || code === "0x") throw chainError("DEPLOYMENT_BROKEN", { contract, address });
  return address;
}
