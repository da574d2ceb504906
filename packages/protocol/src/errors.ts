import { defineErrors } from "@hydrogen/std";

export const protocolError = defineErrors({
  IMAGE_INVALID: {
    message: "The image cannot be decoded",
    retryable: false,
    hint: "A well-formed PNG is expected: intact checksums, complete pixel data, nothing after it.",
  },
  IMAGE_TOO_LARGE: {
    message: "The image is larger than allowed",
    retryable: false,
    hint: "At most 4096 × 4096 pixels and 64 MiB of file are decoded.",
  },
  RESULT_INVALID: { message: "The task result is not well-formed", retryable: false },
  HASH_INPUT_INVALID: { message: "A value cannot be hashed", retryable: false },
  SIGNATURE_INVALID: { message: "The signature is not valid", retryable: false },
  SIGNATURE_EXPIRED: {
    message: "The signature is outside the time it is valid for",
    retryable: false,
    hint: "Compare the clock with the relay's: GET /v1/now.",
  },
  AUTHORIZATION_MALFORMED: {
    message: "The Authorization header cannot be read",
    retryable: false,
    hint: 'Expected: Hydrogen address="0x…", nonce="0x…", expiry="…", body="0x…", signature="0x…".',
  },
  KEY_INVALID: { message: "Not a secp256k1 private key", retryable: false },
  ADDRESS_INVALID: { message: "Not an Ethereum address", retryable: false },
  JSON_NOT_CANONICAL: { message: "The value has no canonical JSON form", retryable: false },
  RECEIPT_INVALID: { message: "The receipt is not well-formed", retryable: false },
});
