import { defineErrors } from "@hydrogen/std";

export const sdkError = defineErrors({
  TASK_ABORTED_ON_CHAIN: {
    message: "The network ended the task without a result",
    retryable: false,
    hint: "The fee was returned, less what error reports cost. The reason says who was to blame.",
  },
  TASK_NOT_CREATED: { message: "The transaction created no task", retryable: false },
  TASK_MOVED: {
    message: "A reorganisation of the chain took the task away",
    retryable: true,
    hint: "Its transaction is sent again; the task then has another id.",
  },
  TASK_TIMEOUT: {
    message: "The task could not be created on chain in time",
    retryable: false,
    hint: "Nothing was paid. Does the chain answer, and is the bridge not overloaded?",
  },
  RESULT_NOT_VERIFIED: {
    message: "The files are not those that the chain verified",
    retryable: true,
    hint: "Do not use them. The relay or the node served something else.",
  },
  FUNDS_TOO_LOW: {
    message: "The wallet holds too little CNX for the task's fee",
    retryable: false,
    hint: "Send CNX to the wallet.",
  },
  BRIDGE_UNREACHABLE: {
    message: "The bridge does not answer",
    retryable: true,
    hint: "Is the network running? Start it with npm start, or name another bridge with --bridge.",
  },
  BRIDGE_ANSWER_INVALID: { message: "The bridge's answer is not what its API promises", retryable: false },
});
