/**
 * A real chain with, in the place of the Task contract, one that emits what it is told to: for lives of tasks that the
 * real contract takes long to reach.
 */
import type { TestContext } from "node:test";
import { type AddressBook, taskAbi } from "@hydrogen/chain";
import { startEmbeddedChain } from "@hydrogen/chain/embedded";
import {
  type AbiEvent,
  concat,
  createPublicClient,
  createWalletClient,
  encodeAbiParameters,
  encodeEventTopics,
  type Hex,
  http,
  numberToHex,
  pad,
  parseEther,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

/** Calldata: how many topics (2, 3 or 4), room for four topics, the data. Emits that log. */
const emitter: Hex = `0x${[
  "6031806009" + "5f395ff3", // returns what follows
  "60a0360360a05f37", // data to memory
  "608035606035604035602035", // topics 3, 2, 1, 0
  "60a036035f", // size and offset of the data
  "5f35806003146" + "02a57", // three topics
  "60041460" + "2e57", // four topics
  "a200" + "5b50a300" + "5ba400", // LOG2, LOG3, LOG4
].join("")}`;

const account = privateKeyToAccount(`0x${"77".repeat(32)}`);

export type EventChain = {
  readonly rpcUrl: string;
  readonly addresses: AddressBook;
  /** Emits an event of the Task contract in a block of its own. */
  emit(name: string, args: Readonly<Record<string, unknown>>): Promise<void>;
  headHash(): Promise<Hex>;
  close(): Promise<void>;
  snapshot(): Promise<string>;
  /** Replaces the blocks since the snapshot by empty ones, and one more. */
  reorganise(snapshot: string): Promise<void>;
};

export async function startEventChain(t: Pick<TestContext, "after">): Promise<EventChain> {
  const chain = await startEmbeddedChain({ dev: true, alloc: { [account.address]: parseEther("100") } });
  t.after(() => chain.close());
  const transport = http(chain.url);
  const wallet = createWalletClient({ account, transport });
  const client = createPublicClient({ transport, pollingInterval: 10, cacheTime: 0 });
  const request = client.request as (args: { method: string; params?: unknown[] }) => Promise<unknown>;

  const send = async (to: Hex | null, data: Hex) => {
    const hash = await wallet.sendTransaction({ chain: null, to, data });
    const receipt = await client.waitForTransactionReceipt({ hash });
    if (receipt.status !== "success") throw new Error("the emitter reverted");
    return receipt;
  };
  const { contractAddress, blockNumber } = await send(null, emitter);

  return {
    rpcUrl: chain.url,
    addresses: {
      chainId: chain.chainId,
      token: `0x${"01".repeat(20)}`,
      node: `0x${"02".repeat(20)}`,
      task: contractAddress!,
      deployedBlock: blockNumber,
    },
    emit: async (name, args) => {
      const event = taskAbi.find((item): item is Extract<typeof item, AbiEvent> => {
        return item.type === "event" && item.name === name;
      });
      if (event === undefined) throw new Error(`no event ${name}`);
      const topics = encodeEventTopics({ abi: [event as AbiEvent], args }) as Hex[];
      const values = (event as AbiEvent).inputs.filter(({ indexed }) => !indexed);
      const data = encodeAbiParameters(
        values,
        values.map((input) => args[input.name!]),
      );
      const padded = [...topics, ...Array<Hex>(4 - topics.length).fill(pad("0x"))];
      await send(contractAddress!, concat([numberToHex(topics.length, { size: 32 }), ...padded, data]));
    },
    close: () => chain.close(),
    headHash: async () => (await client.getBlock()).hash,
    snapshot: async () => String(await request({ method: "evm_snapshot" })),
    reorganise: async (snapshot) => {
      const { number: height } = await client.getBlock();
      if (!(await request({ method: "evm_revert", params: [snapshot] }))) throw new Error("no such snapshot");
      while ((await client.getBlock()).number <= height) await request({ method: "evm_mine" });
    },
  };
}
