import { defineErrors } from "@hydrogen/std";

export const nodeError = defineErrors({
  NODE_CONFIG_INVALID: {
    message: "The node's configuration is not valid",
    retryable: false,
    hint: "Compare the named fields with docs/config.md.",
  },
  NODE_PASSWORD_MISSING: {
    message: "The keystore has no password",
    retryable: false,
    hint: "Name an environment variable or a file in keystore.passwordEnv or keystore.passwordFile.",
  },
  NODE_LISTEN_FAILED: {
    message: "The local API cannot listen on this address",
    retryable: false,
    hint: "Choose another port in api.port, or 0 for a free one.",
  },
  NODE_ARGS_MISMATCH: {
    message: "The relay's args do not hash to the task's hash",
    retryable: true,
  },
  NODE_ARGS_MISSING: {
    message: "The relay does not have the task's args yet",
    retryable: true,
  },
  NODE_FILES_LOST: {
    message: "A result file is missing or was changed on disk",
    retryable: false,
    failureClass: "resource",
  },
  ENGINE_PROCESS_START_FAILED: {
    message: "The engine process did not come up",
    retryable: true,
    failureClass: "resource",
  },
  ENGINE_PROCESS_CRASHED: {
    message: "The engine process ended while it was working",
    retryable: true,
    failureClass: "execution",
  },
  ENGINE_PROCESS_TIMEOUT: {
    message: "The engine did not finish in time and was ended",
    retryable: true,
    failureClass: "execution",
  },
  RUN_CANCELLED: {
    message: "The run was cancelled",
    retryable: false,
    failureClass: "cancelled",
  },
  ENGINE_PROCESS_PROTOCOL: {
    message: "The engine process broke the message protocol",
    retryable: true,
    failureClass: "execution",
  },
  ENGINE_PROCESS_FAILED: {
    message: "The engine failed",
    retryable: true,
    failureClass: "execution",
  },
});
