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
 * A transaction that is on its way is waited for, never doubled. One that was mined and refused is sent anew, for
 * whoever asks has looked at the chain again and still wants it; so is a repeatable one that was mined and worked.
 */
export function createSend(sender: Pick<Sender, "send" | "record">): Send {
  return async ({ purpose, call, repeatable = false }, signal) => {
    const content = taskHash(`${call.to} ${call.data}`).slice(2, 10);
    for (let again = 0; ; again++) {
      const key = `${purpose}:${content}#${again}`;
      const record = sender.record(key);
      const mined = record !== undefined && record.state !== "open";
      if (mined && (repeatable || record.failure !== undefined)) continue;
      return sender.send({ key, call }, { signal });
    }
  };
}
