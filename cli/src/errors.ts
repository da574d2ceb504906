import { defineErrors } from "@hydrogen/std";

export const cliError = defineErrors({
  CLI_OPTION_INVALID: {
    message: "An option has a wrong value",
    retryable: false,
    hint: "hydrogen --help lists the options.",
  },
  CLI_OUTPUT_UNWRITABLE: {
    message: "The output's directory cannot be written",
    retryable: false,
    hint: "Choose another file with --out.",
  },
  CLI_NO_MODEL: {
    message: "The network offers no model",
    retryable: false,
    hint: "Check modelsDirs of the nodes and the bridge.",
  },
  CLI_TASK_FAILED: {
    message: "The task failed",
    retryable: false,
    hint: "The cause is below; the id names the task at the bridge.",
  },
});
