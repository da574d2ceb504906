import { defineErrors } from "@hydrogen/std";

/** Everything that can end a diffusion task, with the class the protocol needs. */
export const diffusionError = defineErrors({
  MODEL_FILE_MISSING: {
    message: "A file of the model is missing",
    retryable: false,
    failureClass: "model_invalid",
    hint: "A diffusers folder with safetensors weights, or a whole model in one safetensors file, is expected",
  },
  MODEL_CONFIG_INVALID: {
    message: "A configuration file of the model is not valid",
    retryable: false,
    failureClass: "model_invalid",
  },
  MODEL_UNSUPPORTED: {
    message: "The model needs something that this engine does not do",
    retryable: false,
    failureClass: "unsupported",
    hint: "Models of Stable Diffusion 1.x and 2.x topology are supported",
  },
  MODEL_WEIGHTS_INVALID: {
    message: "A safetensors file is damaged or not what it claims to be",
    retryable: false,
    failureClass: "model_invalid",
  },
  MODEL_TENSOR_MISSING: {
    message: "The weights lack a tensor that the configuration calls for",
    retryable: false,
    failureClass: "model_invalid",
  },
  MODEL_TENSOR_MISMATCH: {
    message: "A tensor of the weights has another shape than the configuration calls for",
    retryable: false,
    failureClass: "model_invalid",
  },
  MODEL_TOKENIZER_INVALID: {
    message: "The model's tokenizer files do not form a CLIP tokenizer",
    retryable: false,
    failureClass: "model_invalid",
  },
  ARGS_INVALID: {
    message: "The request has a value out of range",
    retryable: false,
    failureClass: "args_invalid",
  },
  ARGS_SIZE_INVALID: {
    message: "The image size does not fit the model",
    retryable: false,
    failureClass: "args_invalid",
  },
  ARGS_SCHEDULER_INVALID: {
    message: "The scheduler has a setting that does not exist or contradicts another",
    retryable: false,
    failureClass: "args_invalid",
  },
  SCHEDULER_UNSUPPORTED: {
    message: "The scheduler, or one of its settings, is not supported",
    retryable: false,
    failureClass: "unsupported",
  },
  PROVIDER_UNAVAILABLE: {
    message: "None of the requested execution providers could load the model",
    retryable: false,
    failureClass: "resource",
  },
  ENGINE_RUN_FAILED: {
    message: "The model could not be run",
    retryable: true,
    failureClass: "execution",
  },
  ENGINE_CLOSED: {
    message: "The pipeline has been closed",
    retryable: false,
    failureClass: "execution",
  },
  ENGINE_CANCELLED: {
    message: "The work was cancelled",
    retryable: false,
    failureClass: "cancelled",
  },
});
