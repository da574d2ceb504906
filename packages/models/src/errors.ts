import { defineErrors } from "@hydrogen/std";

/**
 * `model_invalid` goes on chain as a verdict, so it is only claimed of what would fail on every node, for ever.
 * Whatever depends on this node, its settings, its network or a server's mood is `model_unavailable` or `resource`.
 */
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
  MODEL_REF_INVALID: {
    message: "A model's name is neither a Hugging Face id nor a web address",
    retryable: false,
    hint: "Write owner/name, owner/name@revision, or an https address; #sha256=… pins an address.",
    failureClass: "args_invalid",
  },
  MODEL_NO_SAFETENSORS: {
    message: "The model has no safetensors weights, only formats that can run code",
    retryable: false,
    hint: "Choose a model, revision or file in safetensors format.",
    failureClass: "model_invalid",
  },
  MODEL_INCOMPLETE: {
    message: "The model lacks a file that its own index calls for",
    retryable: false,
    failureClass: "model_invalid",
  },
  MODEL_AMBIGUOUS: {
    message: "The model has several weight files and no index that says which one is meant",
    retryable: false,
    hint: "Name the file.",
    failureClass: "model_invalid",
  },
  MODEL_NOT_SAFETENSORS: {
    message: "A weight file, though it is the one that was published, is not in safetensors format",
    retryable: false,
    failureClass: "model_invalid",
  },
  MODEL_NOT_FOUND: {
    message: "The server has no such model, revision or file",
    retryable: false,
    hint: "Check the name; a private model needs a token.",
    failureClass: "model_unavailable",
  },
  MODEL_ACCESS_DENIED: {
    message: "The server does not let this node have the model",
    retryable: false,
    hint: "Accept the model's terms on its page and give the node a token (HF_TOKEN, CIVITAI_TOKEN).",
    failureClass: "model_unavailable",
  },
  MODEL_OFFLINE: {
    message: "The model is not here and downloads are switched off",
    retryable: false,
    hint: "Pull it while online.",
    failureClass: "model_unavailable",
  },
  MODEL_HOST_REFUSED: {
    message: "Models may not be fetched from this address",
    retryable: false,
    hint: "An operator may add the host to allowedHosts.",
    failureClass: "model_unavailable",
  },
  MODEL_ADDRESS_REFUSED: {
    message: "The host is inside a private network or has no public address",
    retryable: false,
    hint: "A mirror in one's own network is named as endpoint or trusted origin.",
    failureClass: "model_unavailable",
  },
  MODEL_UNREACHABLE: {
    message: "The server does not answer, breaks off or is too busy",
    retryable: true,
    failureClass: "model_unavailable",
  },
  MODEL_SERVER_INVALID: {
    message: "The server's answer is not what was asked for",
    retryable: false,
    failureClass: "model_unavailable",
  },
  MODEL_CHANGED: {
    message: "The file changed on the server while it was being fetched",
    retryable: true,
    failureClass: "model_unavailable",
  },
  MODEL_HASH_MISMATCH: {
    message: "What arrived is not the file that was promised",
    retryable: true,
    failureClass: "model_unavailable",
  },
  MODEL_TOO_LARGE: {
    message: "The model is larger than this node accepts",
    retryable: false,
    failureClass: "resource",
  },
  MODEL_QUOTA_EXCEEDED: {
    message: "The model does not fit into the quota beside the models in use",
    retryable: true,
    hint: "Raise the quota, or remove models.",
    failureClass: "resource",
  },
  MODEL_DISK_FULL: {
    message: "The disk has no room for the model",
    retryable: true,
    hint: "Free some space, or set a quota so that unused models make room.",
    failureClass: "resource",
  },
  MODEL_IN_USE: {
    message: "The model is in use",
    retryable: true,
    failureClass: "resource",
  },
});
