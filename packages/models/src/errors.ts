import { defineErrors } from "@hydrogen/std";

export const modelError = defineErrors({
  MODEL_UNKNOWN: {
    message: "No model of this name is here",
    retryable: false,
    hint: "Choose one of the known models, or add a directory that has it.",
    failureClass: "model_unavailable",
  },
  MODEL_MANIFEST_INVALID: {
    message: "A model's hydrogen.json is missing or malformed",
    retryable: false,
    hint: "Write it with packages/models/src/write-manifest.ts.",
    failureClass: "model_unavailable",
  },
  MODEL_DAMAGED: {
    message: "A model's file is missing or is not the one its manifest names",
    retryable: false,
    hint: "Fetch the model again.",
    failureClass: "model_unavailable",
  },
});
