import { defineErrors } from "@hydrogen/std";

export const taskError = defineErrors({
  ARGS_TOO_LARGE: { message: "The task args are too large", retryable: false, failureClass: "args_invalid" },
  ARGS_NOT_JSON: {
    message: "The task args are not a JSON object in UTF-8",
    retryable: false,
    failureClass: "args_invalid",
  },
  ARGS_INVALID: {
    message: "The task args do not follow the schema",
    retryable: false,
    hint: "Compare with packages/tasks/schemas/stable-diffusion-inference.json.",
    failureClass: "args_invalid",
  },
  TASK_UNSUPPORTED: {
    message: "The task asks for something that this engine does not do",
    retryable: false,
    failureClass: "unsupported",
  },
  VRAM_EXCEEDED: {
    message: "The task needs more VRAM than any class of nodes has",
    retryable: false,
    hint: "Ask for a smaller image, or drop the refiner or the ControlNet.",
    failureClass: "unsupported",
  },
});
