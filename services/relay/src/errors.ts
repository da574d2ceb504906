/** The relay's errors, and the HTTP status each is answered with. */
import { defineErrors } from "@hydrogen/std";

export const relayError = defineErrors({
  RELAY_LISTEN_FAILED: {
    message: "The relay cannot listen",
    retryable: true,
    hint: "Is the port taken? Port 0 takes a free one.",
  },
  RELAY_REQUEST_INVALID: { message: "The request is malformed", retryable: false },
  RELAY_ROUTE_NOT_FOUND: { message: "There is nothing at this address", retryable: false },
  RELAY_MEDIA_TYPE_UNSUPPORTED: { message: "The body has the wrong content type", retryable: false },
  RELAY_BODY_TOO_LARGE: { message: "The body is larger than allowed", retryable: false },
  RELAY_BODY_MISMATCH: { message: "The body is not the one that was signed", retryable: false },
  RELAY_RATE_LIMITED: { message: "Too many requests", retryable: true },
  RELAY_BUSY: { message: "The relay is receiving as much as it can hold", retryable: true },
  RELAY_STORAGE_UNAVAILABLE: { message: "The relay cannot write to its storage", retryable: true },
  RELAY_CHAIN_UNAVAILABLE: { message: "The relay cannot reach the chain", retryable: true },
  RELAY_INTERNAL: { message: "The relay failed", retryable: true },
  RELAY_CONFIG_INVALID: { message: "The relay's configuration is invalid", retryable: false },
  RELAY_SIGNATURE_MISSING: {
    message: "The request is not signed",
    retryable: false,
    hint: "Send an Authorization: Hydrogen header, or timestamp and signature.",
  },
  RELAY_NONCE_USED: {
    message: "The nonce of the signature was used before",
    retryable: false,
    hint: "Sign every request anew, with a nonce of its own.",
  },
  RELAY_SIGNER_NOT_ALLOWED: { message: "The signer may not do this", retryable: false },
  RELAY_TASK_NOT_FOUND: {
    message: "The task is not on the chain, or the relay has not seen it yet",
    retryable: true,
  },
  RELAY_TASK_HASH_MISMATCH: {
    message: "keccak256 of the task args is not the task's taskHash",
    retryable: false,
  },
  RELAY_ARGS_NOT_UPLOADED: { message: "The creator has not uploaded the task args yet", retryable: true },
  RELAY_TASK_NOT_RUNNING: { message: "The task is not being executed", retryable: false },
  RELAY_TASK_NOT_DECIDED: { message: "The task has no agreed result yet", retryable: true },
  RELAY_TASK_ABORTED: { message: "The task was aborted and has no result", retryable: false },
  RELAY_UPLOAD_NOT_DUE: {
    message: "Until the upload deadline only the result node may upload",
    retryable: true,
  },
  RELAY_FILES_INVALID: { message: "The body does not hold the files of a result", retryable: false },
  RELAY_FILE_TOO_LARGE: { message: "A file of the result is larger than allowed", retryable: false },
  RELAY_FILES_MISMATCH: {
    message: "The files are not those whose digest and hashes the node revealed on the chain",
    retryable: false,
  },
  RELAY_RESULT_NOT_UPLOADED: { message: "The result has not been uploaded yet", retryable: true },
  RELAY_FILE_NOT_FOUND: { message: "The result has no file of this number", retryable: false },
});

export type RelayErrorCode = keyof typeof relayError.definitions;

/** RFC 9110 status of the relay's own errors. */
const ownStatus: Readonly<Record<RelayErrorCode, number>> = {
  RELAY_LISTEN_FAILED: 500,
  RELAY_REQUEST_INVALID: 400,
  RELAY_ROUTE_NOT_FOUND: 404,
  RELAY_MEDIA_TYPE_UNSUPPORTED: 415,
  RELAY_BODY_TOO_LARGE: 413,
  RELAY_BODY_MISMATCH: 401,
  RELAY_RATE_LIMITED: 429,
  RELAY_BUSY: 503,
  RELAY_STORAGE_UNAVAILABLE: 507,
  RELAY_CHAIN_UNAVAILABLE: 503,
  RELAY_INTERNAL: 500,
  RELAY_CONFIG_INVALID: 500,
  RELAY_SIGNATURE_MISSING: 401,
  RELAY_NONCE_USED: 409,
  RELAY_SIGNER_NOT_ALLOWED: 403,
  RELAY_TASK_NOT_FOUND: 404,
  RELAY_TASK_HASH_MISMATCH: 422,
  RELAY_ARGS_NOT_UPLOADED: 404,
  RELAY_TASK_NOT_RUNNING: 409,
  RELAY_TASK_NOT_DECIDED: 409,
  RELAY_TASK_ABORTED: 409,
  RELAY_UPLOAD_NOT_DUE: 409,
  RELAY_FILES_INVALID: 422,
  RELAY_FILE_TOO_LARGE: 413,
  RELAY_FILES_MISMATCH: 422,
  RELAY_RESULT_NOT_UPLOADED: 404,
  RELAY_FILE_NOT_FOUND: 404,
};

/** Errors of other packages that are the caller's doing. Everything else of theirs is the relay's own trouble. */
const foreignStatus: Readonly<Record<string, number>> = {
  AUTHORIZATION_MALFORMED: 401,
  SIGNATURE_INVALID: 401,
  SIGNATURE_EXPIRED: 401,
  IMAGE_INVALID: 422,
  IMAGE_TOO_LARGE: 422,
  ARGS_TOO_LARGE: 413,
  ARGS_NOT_JSON: 422,
  ARGS_INVALID: 422,
  TASK_UNSUPPORTED: 422,
};

/** The status of an error by its code; undefined if a client has no business knowing it. */
export function httpStatus(code: string): number | undefined {
  return (ownStatus as Record<string, number>)[code] ?? foreignStatus[code];
}
