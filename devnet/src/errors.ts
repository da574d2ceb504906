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
  DEVNET_PORT_IN_USE: {
    message: "Another program listens on a port of this network",
    retryable: true,
    hint: "Stop it. A network keeps the ports of its first start; delete ports.json in its directory to choose again.",
  },
  DEVNET_FILE_DAMAGED: {
    message: "A file of the network cannot be read",
    retryable: false,
    hint: "Restore it from a backup. Ports and configuration may be deleted: they are made anew.",
  },
  DEVNET_NO_NETWORK: {
    message: "There is no network in this directory",
    retryable: false,
    hint: "Start one with npm start (or hydrogen up), or name its directory with --data.",
  },
});
