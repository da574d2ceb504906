/** The bridge's errors, and the HTTP status each is answered with. */
import { errorClassOf } from "@hydrogen/protocol";
import { defineErrors, type HydrogenError } from "@hydrogen/std";

export const bridgeError = defineErrors({
  BRIDGE_CONFIG_INVALID: {
    message: "The configuration is not valid",
    retryable: false,
    hint: "See docs/config.md.",
  },
  BRIDGE_PASSWORD_MISSING: {
    message: "There is no password for the keystore",
    retryable: false,
    hint: "Set the environment variable or write the file that the configuration names.",
  },
  BRIDGE_LISTEN_FAILED: {
    message: "The API cannot listen at this address",
    retryable: false,
    hint: "Is another program using the port? Choose another one.",
  },
  REQUEST_INVALID: { message: "The request is malformed", retryable: false },
  ROUTE_NOT_FOUND: { message: "There is nothing at this address", retryable: false },
  BODY_TOO_LARGE: { message: "The body is larger than allowed", retryable: false },
  API_KEY_INVALID: {
    message: "The request carries no valid API key",
    retryable: false,
    hint: "Send Authorization: Bearer <key>.",
  },
  BUDGET_EXHAUSTED: {
    message: "The API key's budget does not cover another task",
    retryable: false,
    hint: "Ask the bridge's operator for a larger budget.",
  },
  TASK_TYPE_UNSUPPORTED: { message: "This bridge does not take tasks of this type", retryable: false },
  MODEL_NOT_OFFERED: {
    message: "No node of this network is known to have this model",
    retryable: false,
    failureClass: "unsupported",
    hint: "GET /v1/models/sd lists the models.",
  },
  VRAM_NOT_OFFERED: {
    message: "Fewer than three nodes of this network have the memory that the task needs",
    retryable: false,
    failureClass: "unsupported",
    hint: "Ask for a smaller image, or come back when larger nodes have joined.",
  },
  IDEMPOTENCY_CONFLICT: {
    message: "The idempotency key was used before with another body",
    retryable: false,
    hint: "Take a new key for a new task.",
  },
  TASK_NOT_FOUND: { message: "There is no such task for this API key", retryable: false },
  TASK_NOT_DONE: { message: "The task has no result yet", retryable: true },
  TASK_NOT_CANCELLABLE: {
    message: "The task is already on chain",
    retryable: false,
    hint: "It ends by its own deadline.",
  },
  IMAGE_NOT_FOUND: {
    message: "The task has no image of this number, or it is no longer kept",
    retryable: false,
  },
  TASK_CANCELLED: {
    message: "The task was cancelled before it was created on chain",
    retryable: false,
    failureClass: "cancelled",
  },
  INTERNAL: { message: "Something went wrong inside the bridge", retryable: true },
});

type BridgeErrorCode = keyof typeof bridgeError.definitions;
type Status = 400 | 401 | 402 | 404 | 409 | 413 | 500 | 503;

const statuses: Partial<Record<BridgeErrorCode, Status>> = {
  REQUEST_INVALID: 400,
  TASK_TYPE_UNSUPPORTED: 400,
  ROUTE_NOT_FOUND: 404,
  BODY_TOO_LARGE: 413,
  API_KEY_INVALID: 401,
  BUDGET_EXHAUSTED: 402,
  IDEMPOTENCY_CONFLICT: 409,
  TASK_NOT_FOUND: 404,
  TASK_NOT_DONE: 409,
  TASK_NOT_CANCELLABLE: 409,
  IMAGE_NOT_FOUND: 404,
  INTERNAL: 500,
};

/** The HTTP status of an error: 4xx for what the caller got wrong, args included; else 503 if it may pass, or 500. */
export function statusOf({ code, failureClass, retryable }: HydrogenError): Status {
  const taskIsAtFault = errorClassOf(failureClass) !== undefined;
  return statuses[code as BridgeErrorCode] ?? (taskIsAtFault ? 400 : retryable ? 503 : 500);
}
