/** A running relay on a chain of events, the people around it, and the lives of tasks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  authorizeRequest,
  createKeySigner,
  filesDigest,
  imagesResult,
  type SeedsParams,
  signSeedsRequest,
  taskHash,
} from "@hydrogen/protocol";
import { createRelayClient, type RelayClient } from "@hydrogen/sdk";
import { bytesToHex, type Clock, type Hex, nowSec, systemClock, waitFor } from "@hydrogen/std";
import { silentLogger } from "@hydrogen/telemetry";
import { encode } from "fast-png";
import type { RelayConfigInput } from "../config.ts";
import { type Relay, startRelay } from "../relay.ts";
import { type EventChain, startEventChain } from "./event-chain.ts";

const key = (digit: string) => createKeySigner(`0x${digit.repeat(64)}`);
export const people = {
  creator: key("a"),
  nodes: [key("1"), key("2"), key("3")] as const,
  stranger: key("5"),
};
export type Person = (typeof people)["creator"];

export const argsText = JSON.stringify({
  base_model: { name: "hydrogen/emoji" },
  prompt: 'a <red> apple & a "pear" – ü',
  task_config: { image_width: 64, image_height: 64, num_images: 1, steps: 4, seed: 7 },
});

/** A small picture; different numbers look different. */
export function picture(number: number, side = 16): Uint8Array {
  const data = new Uint8Array(side * side * 3);
  for (let i = 0; i < data.length; i++)
    data[i] = (i * (number + 3) * 31 + ((i >> 4) % (number + 2)) * 90) % 256;
  return encode({ width: side, height: side, channels: 3, depth: 8, data });
}

export type RequestToSign = {
  method?: "GET" | "POST";
  path: string;
  body?: Uint8Array;
  relay?: string;
  chainId?: number;
  nonce?: Hex;
  expirySec?: number;
};

export type Fixture = {
  readonly chain: EventChain;
  readonly relay: Relay;
  readonly dataDir: string;
  client(person: Person, clock?: Clock): RelayClient;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** A header for exactly this request, unless told otherwise. */
  authorize(person: Person, request: RequestToSign): Promise<string>;
  /** The two fields of the seeds' scheme. */
  seedsFields(person: Person, params: SeedsParams): Promise<{ timestamp: number; signature: Hex }>;
  /** The same as a query. */
  signSeeds(person: Person, params: SeedsParams): Promise<string>;
  /** Resolves when the relay has followed the chain to its head. */
  followed(): Promise<void>;
  /** Starts it again on the same data. */
  restart(): Promise<void>;
  task: ReturnType<typeof createLives>;
};

export async function startFixture(
  t: Pick<TestContext, "after">,
  options: { config?: Partial<RelayConfigInput>; clock?: Clock; chain?: EventChain } = {},
): Promise<Fixture> {
  const { clock = systemClock } = options;
  const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-relay-"));
  const chain = options.chain ?? (await startEventChain(t));
  const start = (port: number) =>
    startRelay(
      { dataDir, rpcUrl: chain.rpcUrl, addresses: chain.addresses, port, ...options.config },
      { log: silentLogger, clock },
    );
  let relay = await start(0);
  t.after(async () => {
    await relay.close();
    rmSync(dataDir, { recursive: true });
  });
  const seedsFields: Fixture["seedsFields"] = (person, params) =>
    signSeedsRequest(params, nowSec(clock), person);
  return {
    chain,
    get relay() {
      return relay;
    },
    dataDir,
    client: (signer, clientClock = clock) =>
      createRelayClient(
        { url: relay.url, chainId: chain.addresses.chainId, taskContract: chain.addresses.task },
        { signer, clock: clientClock },
      ),
    fetch: (path, init) => fetch(relay.url + path, init),
    authorize: (person, request) =>
      authorizeRequest(
        person,
        { chainId: request.chainId ?? chain.addresses.chainId, verifyingContract: chain.addresses.task },
        {
          relay: request.relay ?? relay.url,
          method: request.method ?? "GET",
          path: request.path,
          body: request.body ?? new Uint8Array(),
          nonce: request.nonce ?? bytesToHex(crypto.getRandomValues(new Uint8Array(32))),
          expirySec: request.expirySec ?? nowSec(clock) + 60,
        },
      ),
    seedsFields,
    signSeeds: async (person, params) => {
      const { timestamp, signature } = await seedsFields(person, params);
      return `timestamp=${timestamp}&signature=${signature}`;
    },
    followed: async () => {
      const isThere = async () => {
        const health = await (await fetch(`${relay.url}/health`)).json();
        return health.chain.followed_hash === (await chain.headHash());
      };
      await waitFor(isThere, { clock: systemClock, intervalMs: 20, signal: AbortSignal.timeout(30_000) });
    },
    restart: async () => {
      const port = Number(new URL(relay.url).port);
      await relay.close();
      relay = await start(port);
    },
    task: createLives(chain),
  };
}

/** Each brings a task into a state, with the events the Task contract would emit on the way. */
export function createLives(chain: EventChain) {
  const zero: Hex = `0x${"00".repeat(32)}`;
  const { creator, nodes } = people;

  const pending = (taskId: bigint, text = argsText) =>
    chain.emit("TaskPending", {
      taskId,
      taskType: 0n,
      creator: creator.address,
      taskHash: taskHash(text),
      dataHash: zero,
      vramLimit: 8n,
      feeWei: 30n * 10n ** 18n,
    });
  const drawn = async (taskId: bigint, text = argsText) => {
    await pending(taskId, text);
    for (const [round, node] of nodes.entries()) {
      await chain.emit("TaskCreated", {
        taskId,
        creator: creator.address,
        selectedNode: node.address,
        taskHash: taskHash(text),
        dataHash: zero,
        round: BigInt(round),
      });
    }
  };
  const revealed = (
    taskId: bigint,
    round: 0 | 1 | 2,
    files: readonly Uint8Array[],
    result = bytesToHex(imagesResult(files)),
  ) =>
    chain.emit("TaskResultDisclosed", {
      taskId,
      node: nodes[round].address,
      round: BigInt(round),
      result,
      filesDigest: filesDigest(files),
    });
  /** Nodes 0 and 1 agree; node 2 stays silent. */
  const succeeded = async (
    taskId: bigint,
    files: readonly Uint8Array[],
    result = bytesToHex(imagesResult(files)),
  ) => {
    await drawn(taskId);
    await revealed(taskId, 0, files, result);
    await revealed(taskId, 1, files, result);
    await chain.emit("TaskSuccess", { taskId, result, resultNode: nodes[0].address });
  };
  const aborted = async (taskId: bigint) => {
    await drawn(taskId);
    await chain.emit("TaskAborted", { taskId, reason: "Task result illegal" });
  };
  return { pending, drawn, revealed, succeeded, aborted };
}
