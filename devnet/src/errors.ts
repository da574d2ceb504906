import { defineErrors } from "@hydrogen/std";

export const devnetError = defineErrors({
  DEVNET_RUNNING: {
    message: "A network already runs in this directory",
    retryable: false,
    hint: "Use it (hydrogen image …), stop it, or choose another directory with --data.",
  },
  DEVNET_PROCESS_FAILED: {
    message: "A part of the network ended while starting",
    retryable: false,
    hint: "Its log says why.",
  },
  DEVNET_NOT_READY: {
    message: "A part of the network did not become ready in time",
    retryable: true,
    hint: "Its log says what it is doing.",
  },
  DEVNET_NO_NETWORK: {
    message: "There is no network in this directory",
    retryable: false,
    hint: "Start one with npm start (or hydrogen up), or name its directory with --data.",
  },
});
