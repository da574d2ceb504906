/** Keys for the sender: a decision that is repeated after a crash finds the transaction it sent before. */
import { type Call, type EvmRpc, ethCall, type Sender, type Sent } from "@hydrogen/chain";
import { taskHash } from "@hydrogen/protocol";
import type { Hex } from "@hydrogen/std";

export type Send = (
  request: {
    /** What the transaction is for; equal for equal purposes. */
    purpose: string;
    call: Call;
    /** Whether the same purpose may come again after it was once fulfilled, such as a withdrawal. */
    repeatable?: boolean;
  },
  signal: AbortSignal,
) => Promise<Sent>;

/**
 * What a call costs depends on whether another node's transaction comes first: the second reveal also passes judgement,
 * and may slash a node. What is not used is not paid.
 */
const headroomGas = 500_000n;

/**
 * A transaction that is on its way is waited for, never doubled. One that was mined and refused is sent anew, for
 * whoever asks has looked at the chain again and still wants it; so is a repeatable one that was mined and worked.
 */
export function createSend(rpc: EvmRpc, sender: Pick<Sender, "send" | "record" | "address">): Send {
  const nextKey = (purpose: string, call: Call, repeatable: boolean): string => {
    const content = taskHash(`${call.to} ${call.data}`).slice(2, 10);
    for (let again = 0; ; again++) {
      const key = `${purpose}:${content}#${again}`;
      const record = sender.record(key);
      const spent =
        record !== undefined && record.state !== "open" && (repeatable || record.failure !== undefined);
      if (!spent) return key;
    }
  };

  return async ({ purpose, call, repeatable = false }, signal) => {
    const key = nextKey(purpose, call, repeatable);
    const gas = sender.record(key) === undefined ? await gasFor(rpc, sender.address, call) : undefined;
    return sender.send({ key, call, gas }, { signal });
  };
}

/** @throws TRANSACTION_REVERTED if the call would revert now */
async function gasFor(rpc: EvmRpc, from: Hex, call: Call): Promise<bigint> {
  try {
    const params = { from, data: call.data, ...(call.to && { to: call.to }) };
    return BigInt(await rpc.request({ method: "eth_estimateGas", params: [params] })) + headroomGas;
  } catch (error) {
    // Says in words why it reverts.
    await ethCall(rpc, { ...call, from });
    throw error;
  }
}
