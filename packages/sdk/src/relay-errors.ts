import { defineErrors } from "@hydrogen/std";

export const relayClientError = defineErrors({
  RELAY_UNREACHABLE: {
    message: "The relay does not answer",
    retryable: true,
    hint: "Is the relay running, and is its URL right?",
  },
  RELAY_ANSWER_INVALID: {
    message: "The relay's answer is not what its API promises",
    retryable: true,
    hint: "Is there something else at this URL, or something in between?",
  },
});
