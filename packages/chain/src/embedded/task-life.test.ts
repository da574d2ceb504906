import assert from "node:assert/strict";
import { test } from "node:test";
import {
  crynuxTokenAbi,
  crynuxTokenBytecode,
  nodeAbi,
  taskAbi,
  taskBytecode,
  taskStatus,
} from "@hydrogen/contracts";
import { commitment, resultDigest } from "@hydrogen/protocol";
import {
  type Abi,
  type Account,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type Hex,
  maxUint256,
  pad,
  parseEther,
  parseEventLogs,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { startTestChain } from "./testing/test-chain.ts";

const [owner, creator, ...operators] = ["41", "42", "43", "44", "45", "46"].map((byte) =>
  privateKeyToAccount(`0x${byte.repeat(32)}`),
) as [Account, Account, ...Account[]];
const alloc = Object.fromEntries(
  [owner, creator, ...operators].map(({ address }) => [address, parseEther("10")]),
);
const digest = pad("0xf11e");
const picture: Hex = "0x0123456789abcdef";

test("carries the contracts through the whole life of a task, and every CNX is accounted for", async (t) => {
  const { client, wallet, receiptOf } = await startTestChain(t, { alloc });
  // Estimates gas, signs, sends, waits: what the services do. An estimate holds for the state it was made on; when others
  // act at the same time, a call may take a longer path (the second commitment opens the grace), hence the margin.
  const send = async <const A extends Abi, Name extends ContractFunctionName<A, "nonpayable">>(
    account: Account,
    address: Hex,
    abi: A,
    functionName: Name,
    args: ContractFunctionArgs<A, "nonpayable", Name>,
  ) => {
    const call = { account, address, abi, functionName, args } as never;
    const gas = ((await client.estimateContractGas(call)) * 3n) / 2n;
    const hash = await wallet(account).writeContract({ ...(call as object), gas } as never);
    const receipt = await receiptOf(hash);
    assert.equal(receipt.status, "success", functionName);
    return receipt;
  };
  const deploy = async (abi: Abi, bytecode: Hex, args: readonly unknown[]): Promise<Hex> =>
    (await receiptOf(await wallet(owner).deployContract({ abi, bytecode, args }))).contractAddress!;

  const token = await deploy(crynuxTokenAbi, crynuxTokenBytecode, [owner.address]);
  const task = await deploy(taskAbi, taskBytecode, [token, owner.address, owner.address]);
  const node = await client.readContract({ address: task, abi: taskAbi, functionName: "node" });
  const balanceOf = (address: Hex) =>
    client.readContract({ address: token, abi: crynuxTokenAbi, functionName: "balanceOf", args: [address] });

  for (const account of [creator, ...operators]) {
    await send(owner, token, crynuxTokenAbi, "transfer", [account.address, parseEther("500")]);
  }
  await Promise.all(
    operators.map(async (operator) => {
      await send(operator, token, crynuxTokenAbi, "approve", [node, maxUint256]);
      await send(operator, node, nodeAbi, "join", ["test GPU", 24n]);
    }),
  );
  await send(creator, token, crynuxTokenAbi, "approve", [task, maxUint256]);
  await send(creator, task, taskAbi, "createTask", [0n, pad("0x7a5c"), pad("0xda7a"), 8n]);
  const drawn = parseEventLogs({
    abi: taskAbi,
    eventName: "TaskCreated",
    logs: (await send(owner, task, taskAbi, "drawNodes", [1n])).logs,
  });
  const selected = drawn.map(
    ({ args }) => operators.find(({ address }) => address === args.selectedNode) ?? assert.fail("a stranger"),
  );
  assert.equal(new Set(selected).size, 3);

  const salt = pad("0x5a17");
  await Promise.all(
    selected.map((operator, round) =>
      send(operator, task, taskAbi, "submitTaskResultCommitment", [
        1n,
        BigInt(round),
        commitment({
          taskId: 1n,
          round,
          node: operator.address,
          resultDigest: resultDigest(picture, digest),
          salt,
        }),
      ]),
    ),
  );
  for (const [round, operator] of selected.entries()) {
    await send(operator, task, taskAbi, "discloseTaskResult", [1n, BigInt(round), picture, digest, salt]);
  }
  const [success] = await client.getContractEvents({
    address: task,
    abi: taskAbi,
    eventName: "TaskSuccess",
    fromBlock: 0n,
    strict: true,
  });
  assert.equal(success?.args.result, picture);
  const resultRound = selected.findIndex(({ address }) => address === success.args.resultNode);
  await send(selected[resultRound]!, task, taskAbi, "reportResultsUploaded", [1n, BigInt(resultRound)]);
  const info = await client.readContract({
    address: task,
    abi: taskAbi,
    functionName: "getTask",
    args: [1n],
  });
  assert.equal(info.status, taskStatus.done);

  for (const operator of selected) await send(operator, node, nodeAbi, "withdraw", []);
  for (const operator of selected) assert.equal(await balanceOf(operator.address), parseEther("110"));
  assert.equal(await balanceOf(creator.address), parseEther("470"));
  assert.equal(await balanceOf(node), parseEther("1600"));
  const supply = await client.readContract({
    address: token,
    abi: crynuxTokenAbi,
    functionName: "totalSupply",
  });
  const held = await Promise.all(
    [owner, creator, ...operators].map(({ address }) => balanceOf(address)).concat(balanceOf(node)),
  );
  assert.equal(
    held.reduce((sum, balance) => sum + balance, 0n),
    supply,
  );
});
