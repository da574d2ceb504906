/**
 * For tests: a real chain with the contracts, and three nodes whose every step the test decides. The relay is the
 * test's choice.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  type AddressBook,
  type Call,
  type Chain,
  connectChain,
  connectRpc,
  createSender,
  memoryOutbox,
  type Sender,
  transferCall,
} from "@hydrogen/chain";
import { type EmbeddedChain, startEmbeddedChain } from "@hydrogen/chain/embedded";
import { deployNetwork, type NetworkParameters } from "@hydrogen/chain/node";
import {
  type ErrorClass,
  errorDigest,
  filesDigest,
  imagesResult,
  commitment as makeCommitment,
  resultDigest,
  TaskStatus,
} from "@hydrogen/protocol";
import { bytesToHex, equalHex, type Hex, systemClock, waitFor } from "@hydrogen/std";
import { type LocalAccount, parseEther } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { picture } from "./pictures.ts";

export type PlayedNode = {
  readonly account: LocalAccount;
  readonly address: Hex;
  commit(taskId: bigint, said?: Statement): Promise<void>;
  reveal(taskId: bigint, said?: Statement): Promise<void>;
  reportUploaded(taskId: bigint): Promise<void>;
};

/** What a node says of a task: these files, or that the task is at fault. */
export type Statement = { files: readonly Uint8Array[] } | { errorClass: ErrorClass };

export type PlayedNetwork = {
  readonly rpcUrl: string;
  readonly chain: Chain;
  readonly addresses: AddressBook;
  /** In the order of their rounds once a task is drawn: see `drawn`. */
  readonly nodes: readonly PlayedNode[];
  readonly application: LocalAccount;
  /** With an outbox in memory. */
  newSender(account: LocalAccount, signal?: AbortSignal): Sender;
  giveCnx(to: Hex, amountWei: bigint): Promise<void>;
  giveGas(to: Hex): Promise<void>;
  /** Waits until the task is drawn; its nodes by round. */
  drawn(taskId: bigint): Promise<PlayedNode[]>;
  /** All three commit, reveal and agree; round 0 reports its upload. */
  playAll(taskId: bigint, files?: readonly Uint8Array[]): Promise<void>;
  /** Moves the block clock. */
  passTime(seconds: number): Promise<void>;
  snapshot(): Promise<string>;
  /** Reorganises the chain: drops every block since the snapshot. */
  revert(snapshot: string): Promise<void>;
  stopChain(): Promise<void>;
  startChain(): Promise<void>;
  /** Waits for something that must become true. */
  until<T>(probe: () => Promise<T | undefined | false> | T | undefined | false): Promise<T>;
};

export const agreedFiles: readonly Uint8Array[] = [picture(3)];
const agreed: Statement = { files: agreedFiles };
const ether = parseEther("1");

export async function startPlayedNetwork(
  t: Pick<TestContext, "after">,
  options: { parameters?: NetworkParameters; vramGb?: bigint } = {},
): Promise<PlayedNetwork> {
  const open = new AsyncDisposableStack();
  t.after(() => open.disposeAsync());
  const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-played-"));
  open.defer(() => rmSync(dataDir, { recursive: true, force: true }));
  const [deployer, application, pool, ...players] = Array.from({ length: 6 }, () =>
    privateKeyToAccount(generatePrivateKey()),
  ) as [LocalAccount, LocalAccount, LocalAccount, LocalAccount, LocalAccount, LocalAccount];
  const alloc = Object.fromEntries(
    [deployer, application, ...players].map(({ address }) => [address, 1_000n * ether]),
  );
  let embedded: EmbeddedChain = await startEmbeddedChain({ dataDir, alloc, dev: true });
  open.defer(() => embedded.close());
  const { url: rpcUrl } = embedded;
  const stop = new AbortController();
  const rpc = await connectRpc({ rpcUrl, pollMs: 50 }, { signal: stop.signal });
  open.defer(() => stop.abort());
  const newSender = (account: LocalAccount, signal = stop.signal) =>
    createSender(
      { chain: rpc, account, outbox: memoryOutbox() },
      { signal: AbortSignal.any([stop.signal, signal]) },
    );
  const sender = newSender(deployer);
  const { parameters } = options;
  const addresses = await deployNetwork({ rpc, sender, pool: pool.address, parameters });
  const chain = await connectChain({ rpcUrl, addresses, pollMs: 50 }, { signal: stop.signal });

  const until: PlayedNetwork["until"] = (probe) =>
    waitFor(probe, { clock: systemClock, signal: AbortSignal.timeout(60_000), intervalMs: 20 });
  let gifts = 0;
  const giveCnx = async (to: Hex, amountWei: bigint) => {
    await sender.send({ key: `cnx:${gifts++}`, call: chain.calls.token.transfer(to, amountWei) });
  };
  const giveGas = async (to: Hex) => {
    await sender.send({ key: `gas:${gifts++}`, call: transferCall(to, ether) });
  };
  const nodes = players.map((account): PlayedNode => playNode(account, chain, newSender(account)));
  await Promise.all(
    players.map(async (account) => {
      const own = newSender(account);
      await giveCnx(account.address, 1_000n * ether);
      const { node, token } = chain.calls;
      await own.send({ key: "approve", call: token.approve(addresses.node, 1_000n * ether) });
      await own.send({ key: "join", call: node.join("CPU", options.vramGb ?? 8n) });
    }),
  );
  await giveCnx(application.address, 1_000n * ether);

  const drawn = async (taskId: bigint): Promise<PlayedNode[]> => {
    const task = await until(async () => {
      const found = await chain.task.getTask(taskId);
      return found.status > TaskStatus.Pending && found;
    });
    return task.nodes.map((address) => nodes.find((node) => equalHex(node.address, address))!);
  };
  return {
    rpcUrl,
    chain,
    addresses,
    nodes,
    application,
    newSender,
    giveCnx,
    giveGas,
    drawn,
    until,
    playAll: async (taskId, files = agreedFiles) => {
      const byRound = await drawn(taskId);
      for (const node of byRound) await node.commit(taskId, { files });
      for (const node of byRound) await node.reveal(taskId, { files });
      await byRound[0]!.reportUploaded(taskId);
    },
    passTime: async (seconds) => {
      // Not evm_increaseTime: the chain forgets that when it is started again, and its head stays ahead.
      const { timestampSec } = await chain.head();
      await rpc.request({ method: "evm_setNextBlockTimestamp", params: [timestampSec + seconds] } as never);
      await rpc.request({ method: "evm_mine", params: [] } as never);
    },
    snapshot: async () => String(await rpc.request({ method: "evm_snapshot" } as never)),
    revert: async (snapshot) => {
      await rpc.request({ method: "evm_revert", params: [snapshot] } as never);
    },
    stopChain: () => embedded.close(),
    startChain: async () => {
      const port = Number(new URL(rpcUrl).port);
      embedded = await startEmbeddedChain({ dataDir, alloc, dev: true, port });
    },
  };
}

function playNode(account: LocalAccount, chain: Chain, sender: Sender): PlayedNode {
  const salt: Hex = `0x${"5a".repeat(32)}`;
  let sent = 0;
  const send = async (call: Call) => {
    await sender.send({ key: `play:${sent++}`, call });
  };
  const roundIn = async (taskId: bigint): Promise<bigint> => {
    const { nodes } = await chain.task.getTask(taskId);
    return BigInt(nodes.findIndex((address) => equalHex(address, account.address)));
  };
  const result = (files: readonly Uint8Array[]) => bytesToHex(imagesResult(files));
  const { task } = chain.calls;
  return {
    account,
    address: account.address,
    commit: async (taskId, said = agreed) => {
      const round = await roundIn(taskId);
      const digest =
        "files" in said
          ? resultDigest(result(said.files), filesDigest(said.files))
          : errorDigest(said.errorClass);
      const own = makeCommitment({
        taskId,
        round: Number(round),
        node: account.address,
        resultDigest: digest,
        salt,
      });
      await send(task.submitTaskResultCommitment(taskId, round, own));
    },
    reveal: async (taskId, said = agreed) => {
      const round = await roundIn(taskId);
      await send(
        "files" in said
          ? task.discloseTaskResult(taskId, round, result(said.files), filesDigest(said.files), salt)
          : task.reportTaskError(taskId, round, said.errorClass, salt),
      );
    },
    reportUploaded: async (taskId) => send(task.reportResultsUploaded(taskId, await roundIn(taskId))),
  };
}
