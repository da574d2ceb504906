import { defineErrors } from "@hydrogen/std";

/** Errors of starting and stopping the embedded chain. What a JSON-RPC client sees is in rpc-error.ts. */
export const embeddedChainError = defineErrors({
  EMBEDDED_CHAIN_ID_MISMATCH: {
    message: "The directory holds a chain with another id",
    retryable: false,
    hint: "Use the chain id it was created with, or another data directory.",
  },
  EMBEDDED_CHAIN_LISTEN_FAILED: {
    message: "The chain RPC cannot listen",
    retryable: true,
    hint: "Is the port taken? Port 0 picks a free one.",
  },
});
