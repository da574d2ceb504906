import assert from "node:assert/strict";
import {
  type Abi,
  type Address,
  type ContractFunctionArgs,
  type ContractFunctionName,
  encodeAbiParameters,
  getAddress,
  type Hex,
  keccak256,
  maxUint256,
  pad,
  parseEther,
  toHex,
} from "viem";
import {
  crynuxTokenAbi,
  crynuxTokenBytecode,
  nodeAbi,
  nodeStatus,
  taskAbi,
  taskBytecode,
  taskStatus,
  taskType,
  verdict,
} from "../../index.ts";
import { type Contract, createEvm, eventsOf, type Receipt, Reverted } from "./evm.ts";

export const stakeWei = parseEther("400");
export const feeWei = parseEther("30");
export const shareWei = parseEther("10");

export const gpu = { name: "NVIDIA GeForce RTX 4090+ort-1.23-cpu", vram: 24n };

/** What a round commits to. */
export type Statement = { readonly result: Hex; readonly files?: Hex } | { readonly errorClass: number };

export interface NetworkOptions {
  readonly nodes?: number;
  readonly seed?: bigint;
  /** Balance the books after every transaction (the default); a test of many nodes does without. */
  readonly checkBooks?: boolean;
  /** The token's code, if it is not CNX. */
  readonly token?: { readonly abi: Abi; readonly bytecode: Hex };
}

export function account(label: string): Address {
  return getAddress(`0x${keccak256(toHex(label)).slice(26)}`);
}

export function resultDigest(statement: Statement): Hex {
  const parts = [{ type: "bytes" }, { type: "bytes32" }] as const;
  return "result" in statement
    ? keccak256(encodeAbiParameters(parts, [statement.result, filesOf(statement)]))
    : keccak256(encodeAbiParameters(parts, ["0x", pad(toHex(statement.errorClass), { size: 32 })]));
}

export function commitmentOf(
  taskId: bigint,
  round: number,
  node: Address,
  statement: Statement,
  salt: Hex,
): Hex {
  return keccak256(
    encodeAbiParameters(
      [
        { type: "uint256" },
        { type: "uint256" },
        { type: "address" },
        { type: "bytes32" },
        { type: "bytes32" },
      ],
      [taskId, BigInt(round), node, resultDigest(statement), salt],
    ),
  );
}

function filesOf(statement: { readonly result: Hex; readonly files?: Hex }): Hex {
  return statement.files ?? keccak256(statement.result);
}

/** Asserts that a transaction is refused with this custom error, and returns its arguments. */
export async function refused(attempt: Promise<unknown>, errorName: string): Promise<readonly unknown[]> {
  try {
    await attempt;
  } catch (error) {
    if (!(error instanceof Reverted)) throw error;
    assert.equal(error.errorName, errorName, error.message);
    return error.args;
  }
  assert.fail(`expected ${errorName}, but nothing was refused`);
}

export type Network = Awaited<ReturnType<typeof createNetwork>>;
export type Play = Awaited<ReturnType<Network["play"]>>;

/** The three contracts with joined nodes and a rich creator. After every transaction the books are balanced. */
export async function createNetwork(options: NetworkOptions = {}) {
  const evm = await createEvm({
    seed: options.seed ?? 0n,
    errorsAbi: [...nodeAbi, ...crynuxTokenAbi].filter((item) => item.type === "error"),
  });
  const owner = account("owner");
  const creator = account("creator");
  const pool = account("incentive pool");
  const token: Contract<typeof crynuxTokenAbi> =
    options.token === undefined
      ? await evm.deploy(owner, { abi: crynuxTokenAbi, bytecode: crynuxTokenBytecode }, [owner])
      : { ...(await evm.deploy(owner, options.token, [owner])), abi: crynuxTokenAbi };
  const task = await evm.deploy(owner, { abi: taskAbi, bytecode: taskBytecode }, [
    token.address,
    pool,
    owner,
  ]);
  const node = { address: await evm.call(task, "node", []), abi: nodeAbi };

  const known = new Set<Address>();
  const ledger = new Map<bigint, { feeWei: bigint; paidWei: bigint; refundedWei: bigint }>();
  const listeners: ((receipt: Receipt) => void)[] = [];
  let salts = 0;

  function book(receipt: Receipt): void {
    for (const { name, args } of eventsOf(receipt, taskAbi)) {
      if (name === "TaskPending") {
        ledger.set(args.taskId as bigint, { feeWei: args.feeWei as bigint, paidWei: 0n, refundedWei: 0n });
      }
      const entry = ledger.get(args.taskId as bigint);
      if (entry === undefined) continue;
      if (name === "TaskNodeSuccess") entry.paidWei += args.feeWei as bigint;
      if (name === "TaskRefunded") entry.refundedWei += args.amountWei as bigint;
    }
  }

  /** CNX held = stakes + earnings + escrow; and a task that is over has paid out exactly its fee. */
  async function checkBooks(): Promise<void> {
    let owedWei = 0n;
    let available = 0n;
    let joined = 0n;
    for (const address of known) {
      const info = await evm.call(node, "getNodeInfo", [address]);
      owedWei += info.stakeWei + info.earnedWei;
      if (info.status === nodeStatus.available) available += 1n;
      if (info.status !== nodeStatus.quit) joined += 1n;
      const busy = [nodeStatus.busy, nodeStatus.pendingPause, nodeStatus.pendingQuit].some(
        (status) => status === info.status,
      );
      assert.equal(
        info.taskId !== 0n,
        busy,
        `node ${address} has status ${info.status}, task ${info.taskId}`,
      );
    }
    for (const entry of ledger.values()) owedWei += entry.feeWei - entry.paidWei - entry.refundedWei;
    assert.equal(await evm.call(token, "balanceOf", [node.address]), owedWei, "CNX held is not CNX owed");
    assert.equal(await evm.call(token, "balanceOf", [task.address]), 0n);
    assert.equal(await evm.call(node, "availableNodes", []), available);
    assert.equal(await evm.call(node, "totalNodes", []), joined);
  }

  async function send<const A extends Abi, F extends ContractFunctionName<A, "nonpayable">>(
    from: Address,
    contract: Contract<A>,
    functionName: F,
    args: ContractFunctionArgs<A, "nonpayable", F>,
  ): Promise<Receipt> {
    const receipt = await evm.send(from, contract, functionName, args);
    book(receipt);
    for (const listener of listeners) listener(receipt);
    if (options.checkBooks ?? true) await checkBooks();
    return receipt;
  }

  /** Gives an account CNX for stakes, and lets Node take it. */
  async function fund(address: Address, amountWei = parseEther("10000")): Promise<void> {
    await evm.send(owner, token, "transfer", [address, amountWei]);
    await evm.send(address, token, "approve", [node.address, maxUint256]);
  }

  async function join(address: Address, name: string = gpu.name, vram: bigint = gpu.vram): Promise<Receipt> {
    if (!known.has(address)) {
      await fund(address);
      known.add(address);
    }
    return send(address, node, "join", [name, vram]);
  }

  await evm.send(owner, token, "transfer", [creator, parseEther("1000000")]);
  await evm.send(creator, token, "approve", [task.address, parseEther("1000000")]);
  const nodes: Address[] = [];
  for (let i = 0; i < (options.nodes ?? 3); i += 1) {
    nodes.push(account(`node ${i}`));
    await join(account(`node ${i}`));
  }

  async function create(type: bigint = taskType.sd, vramLimit = 8n): Promise<bigint> {
    const label = `task ${ledger.size}`;
    await send(creator, task, "createTask", [
      type,
      keccak256(toHex(label)),
      keccak256(toHex(`${label} data`)),
      vramLimit,
    ]);
    return evm.call(task, "totalTasks", []);
  }

  /** Draws a task's nodes and lets the test act for each of them. */
  async function draw(taskId: bigint) {
    const receipt = await send(creator, task, "drawNodes", [taskId]);
    const selected = eventsOf(receipt, taskAbi)
      .filter((event) => event.name === "TaskCreated")
      .map((event) => event.args.selectedNode as Address);
    const said: { statement: Statement; salt: Hex }[] = [];
    const who = (round: number): Address => selected[round] as Address;

    return {
      taskId,
      nodes: selected,
      receipt,
      hasCommitted: (round: number): boolean => said[round] !== undefined,
      commit(round: number, statement: Statement): Promise<Receipt> {
        salts += 1;
        const salt = keccak256(toHex(`salt ${salts}`));
        said[round] = { statement, salt };
        const commitment = commitmentOf(taskId, round, who(round), statement, salt);
        return send(who(round), task, "submitTaskResultCommitment", [taskId, BigInt(round), commitment]);
      },
      async commitAll(statements: readonly Statement[]): Promise<void> {
        for (const [round, statement] of statements.entries()) await this.commit(round, statement);
      },
      reveal(round: number): Promise<Receipt> {
        const { statement, salt } = said[round] as { statement: Statement; salt: Hex };
        return "result" in statement
          ? send(who(round), task, "discloseTaskResult", [
              taskId,
              BigInt(round),
              statement.result,
              filesOf(statement),
              salt,
            ])
          : send(who(round), task, "reportTaskError", [taskId, BigInt(round), statement.errorClass, salt]);
      },
      async revealAll(): Promise<void> {
        for (const round of [0, 1, 2]) await this.reveal(round);
      },
      upload(round: number): Promise<Receipt> {
        return send(who(round), task, "reportResultsUploaded", [taskId, BigInt(round)]);
      },
      cancel(): Promise<Receipt> {
        return send(account("passer-by"), task, "cancelTask", [taskId]);
      },
      info: () => evm.call(task, "getTask", [taskId]),
      status: (round: number) => evm.call(node, "getNodeStatus", [who(round)]),
      nodeInfo: (round: number) => evm.call(node, "getNodeInfo", [who(round)]),
    };
  }

  return {
    evm,
    token,
    task,
    node,
    owner,
    creator,
    pool,
    nodes,
    known,
    ledger,
    send,
    fund,
    join,
    create,
    draw,
    checkBooks,
    /** Sees every receipt from now on. */
    onReceipt(listener: (receipt: Receipt) => void): void {
      listeners.push(listener);
    },
    /** Creates a task and draws its nodes. */
    async play(type: bigint = taskType.sd, vramLimit = 8n) {
      return draw(await create(type, vramLimit));
    },
    info: (address: Address) => evm.call(node, "getNodeInfo", [address]),
    balance: (address: Address) => evm.call(token, "balanceOf", [address]),
    getTask: (taskId: bigint) => evm.call(task, "getTask", [taskId]),
    eventNames(receipt: Receipt): string[] {
      return eventsOf(receipt, [...taskAbi, ...nodeAbi]).map((event) => event.name);
    },
    event(receipt: Receipt, name: string): Record<string, unknown> {
      const found = eventsOf(receipt, [...taskAbi, ...nodeAbi]).find((event) => event.name === name);
      assert.ok(found, `no event ${name}`);
      return found.args;
    },
  };
}

export { nodeStatus, taskStatus, taskType, verdict };
