import { defineErrors } from "@hydrogen/std";

export const chainError = defineErrors({
  CHAIN_UNREACHABLE: {
    message: "The chain RPC does not answer",
    retryable: true,
    hint: "Is the chain RPC running, and is its URL right?",
  },
  CHAIN_BUSY: {
    message: "The chain RPC asks to slow down",
    retryable: true,
    hint: "The RPC provider limits requests; use another one or a higher plan.",
  },
  CHAIN_WRONG_ID: {
    message: "The chain RPC serves another chain",
    retryable: false,
    hint: "Chain id and RPC URL of the configuration do not belong together.",
  },
  CHAIN_RPC_ERROR: { message: "The chain RPC refused the request", retryable: false },
  CHAIN_CLOSED: { message: "The connection to the chain was closed", retryable: false },
  BLOCK_NOT_FOUND: { message: "The chain RPC does not know this block", retryable: true },
  ADDRESS_BOOK_INVALID: {
    message: "The address book is not valid",
    retryable: false,
    hint: "It is a JSON object with chainId, token, node, task and deployedBlock, as the deployment writes it.",
  },
  CONTRACT_NOT_FOUND: {
    message: "There is no contract at this address",
    retryable: false,
    hint: "Does the address book belong to this chain?",
  },
  TRANSACTION_REVERTED: { message: "The contract refuses the call", retryable: false },
  TRANSACTION_TIMEOUT: {
    message: "The transaction was not confirmed in time",
    retryable: true,
    hint: "It is kept and may still be mined; ask again with the same key.",
  },
  INSUFFICIENT_FUNDS: {
    message: "The account cannot pay for the transaction",
    retryable: false,
    hint: "Send the chain's native currency to the account.",
  },
  OUTBOX_KEY_REUSED: {
    message: "This key was already used for another transaction",
    retryable: false,
    hint: "A key names one transaction for ever; take a new one for a new call.",
  },
  FOLLOWER_HISTORY_MISSING: {
    message: "The chain RPC no longer serves the logs that are needed",
    retryable: false,
    hint: "Use an RPC that keeps logs since the contracts' deployment.",
  },
  DEPLOYMENT_BROKEN: {
    message: "A deployed contract is not there",
    retryable: false,
    hint: "The chain may have been reset since: deploy with a fresh outbox.",
  },
  KEYSTORE_EXISTS: { message: "A keystore already exists at this path", retryable: false },
  KEYSTORE_NOT_FOUND: { message: "There is no keystore at this path", retryable: false },
  KEYSTORE_INVALID: { message: "The keystore is not a valid Web3 Secret Storage v3 file", retryable: false },
  KEYSTORE_PASSWORD_WRONG: { message: "The keystore does not open with this password", retryable: false },
  PRIVATE_KEY_INVALID: { message: "This is not a secp256k1 private key", retryable: false },
});
