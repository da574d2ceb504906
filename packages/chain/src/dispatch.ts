/** The sender's hand: gives out nonces, signs, keeps and broadcasts. */
import { type Clock, HydrogenError, Mutex } from "@hydrogen/std";
import { keccak256, type LocalAccount, numberToHex, type TransactionSerializable } from "viem";
import type { Call } from "./calls.ts";
import { chainError } from "./errors.ts";
import { capFees, createFeeQuoter, type Fees, raiseFees } from "./fees.ts";
import type { Log } from "./log.ts";
import { type Attempt, newestAttempt, type Outbox, type OutboxRecord } from "./outbox.ts";
import type { EvmRpc, Head } from "./rpc.ts";

export type Dispatch = {
  /** Keeps, signs and broadcasts the call; returns the existing record of a known key. */
  enqueue(key: string, call: Call, gas: bigint, fixedNonce?: number): Promise<OutboxRecord>;
  broadcast(record: OutboxRecord): Promise<void>;
  /** Signs at the same nonce for a higher fee, so that only one of both can be mined. false: the limit is reached. */
  raise(record: OutboxRecord, head: Head): Promise<boolean>;
  /** Signs at the next free nonce. Only for one that can no longer be mined at its own. */
  renumber(record: OutboxRecord, head: Head): Promise<void>;
  /** Transactions of the account so far: mined, mined up to a block, or including those that wait. */
  transactionCount(at: "latest" | "pending" | bigint): Promise<number>;
  /** -Infinity if it was not broadcast by this process. */
  lastBroadcastMs(key: string): number;
  /** Lets the next review broadcast it at once. */
  forgetBroadcast(key: string): void;
};

export type DispatchOptions = {
  chain: EvmRpc;
  account: LocalAccount;
  outbox: Outbox;
  maxFeeCapWei?: bigint | undefined;
};

type Content = Pick<OutboxRecord, "to" | "data" | "valueWei" | "gas">;

export function createDispatch(
  options: DispatchOptions,
  deps: { clock: Clock; log: Log; signal: AbortSignal | undefined },
): Dispatch {
  const { chain, account, outbox, maxFeeCapWei } = options;
  const { clock, log, signal } = deps;
  const quote = createFeeQuoter(chain, clock);
  const signing = new Mutex();
  const broadcastAtMs = new Map<string, number>();

  const transactionCount = async (at: "latest" | "pending" | bigint): Promise<number> => {
    const block = typeof at === "bigint" ? numberToHex(at) : at;
    return Number(
      await chain.request({ method: "eth_getTransactionCount", params: [account.address, block] }),
    );
  };

  /** Ours that are on their way come before whatever the chain has seen, and others may use the account too. */
  const nextNonce = async (): Promise<number> => {
    const ours = outbox.pending().reduce((next, record) => Math.max(next, record.nonce + 1), 0);
    return Math.max(ours, await transactionCount("pending"));
  };

  const sign = async (content: Content, nonce: number, fees: Fees, head: Head): Promise<Attempt> => {
    const pricing =
      head.baseFeeWei === undefined
        ? ({ type: "legacy", gasPrice: fees.maxFeeWei } as const)
        : ({ type: "eip1559", maxFeePerGas: fees.maxFeeWei, maxPriorityFeePerGas: fees.tipWei } as const);
    const transaction: TransactionSerializable = {
      ...pricing,
      chainId: chain.chainId,
      nonce,
      to: content.to,
      data: content.data,
      value: content.valueWei,
      gas: content.gas,
    };
    const raw = await account.signTransaction(transaction);
    return { hash: keccak256(raw), raw, nonce, ...fees, signedMs: clock.nowMs(), signedAtBlock: head.number };
  };

  const enqueue = (key: string, call: Call, gas: bigint, fixedNonce?: number): Promise<OutboxRecord> =>
    signing.run(async () => {
      signal?.throwIfAborted();
      const known = outbox.get(key);
      if (known !== undefined) return known;
      const head = await chain.head();
      const [nonce, balance, quoted] = await Promise.all([
        fixedNonce ?? nextNonce(),
        chain.request({ method: "eth_getBalance", params: [account.address, "latest"] }),
        quote(head),
      ]);
      const fees = capFees(quoted, maxFeeCapWei);
      const needWei = gas * fees.maxFeeWei + call.valueWei;
      if (BigInt(balance) < needWei)
        throw chainError("INSUFFICIENT_FUNDS", {
          address: account.address,
          balanceWei: BigInt(balance),
          needWei,
        });
      const content = { to: call.to, data: call.data, valueWei: call.valueWei, gas };
      const attempt = await sign(content, nonce, fees, head);
      const record: OutboxRecord = {
        key,
        name: call.name,
        ...content,
        nonce,
        state: "open",
        attempts: [attempt],
      };
      outbox.put(record);
      await broadcast(record);
      return record;
    });

  const signAgain = async (record: OutboxRecord, nonce: number, fees: Fees, head: Head): Promise<void> => {
    const attempt = await sign(record, nonce, fees, head);
    const next: OutboxRecord = { ...record, nonce, attempts: [...record.attempts, attempt] };
    outbox.put(next);
    await broadcast(next);
  };

  /** What is kept must not fail here: a refusal or an outage is met again at the next review. */
  const broadcast = async (record: OutboxRecord): Promise<void> => {
    const { raw, hash, nonce } = newestAttempt(record);
    broadcastAtMs.set(record.key, clock.nowMs());
    try {
      await chain.request({ method: "eth_sendRawTransaction", params: [raw] });
      log.debug("transaction broadcast", { key: record.key, call: record.name, nonce, hash });
    } catch (error) {
      if (!(error instanceof HydrogenError)) throw error;
      log.debug("transaction not accepted (yet)", { key: record.key, call: record.name, nonce, hash, error });
    }
  };

  return {
    enqueue,
    broadcast,
    raise: async (record, head) => {
      const last = newestAttempt(record);
      const fees = capFees(raiseFees(last, await quote(head)), maxFeeCapWei);
      if (fees.maxFeeWei <= last.maxFeeWei) return false;
      log.info("replacing a stuck transaction", { key: record.key, call: record.name, ...fees });
      await signAgain(record, record.nonce, fees, head);
      return true;
    },
    renumber: (record, head) =>
      signing.run(async () =>
        signAgain(record, await nextNonce(), capFees(await quote(head), maxFeeCapWei), head),
      ),
    transactionCount,
    lastBroadcastMs: (key) => broadcastAtMs.get(key) ?? -Infinity,
    forgetBroadcast: (key) => void broadcastAtMs.delete(key),
  };
}
