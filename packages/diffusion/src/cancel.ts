import { diffusionError } from "./errors.ts";

/** @throws ENGINE_CANCELLED, with the signal's reason as its cause. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

export function cancelled(signal: AbortSignal | undefined): Error {
  return diffusionError("ENGINE_CANCELLED", {}, signal?.reason);
}
