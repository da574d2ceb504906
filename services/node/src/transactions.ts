/** Keys for the sender: a decision that is repeated after a crash finds the transaction it sent before. */
import type { Call, Sender, Sent } from "@hydrogen/chain";
import { taskHash } from "@hydrogen/protocol";

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
const spareGas = 500_000n;

/**
 * A transaction that is on its way is waited for, never doubled. One that was mined and refused is sent anew, for
 * whoever asks has looked at the chain again and still wants it; so is a repeatable one that was mined and worked.
 */
export function createSend(sender: Pick<Sender, "send" | "record">): Send {
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

  return ({ purpose, call, repeatable = false }, signal) =>
    sender.send({ key: nextKey(purpose, call, repeatable), call, spareGas }, { signal });
}
