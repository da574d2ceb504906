import { defineErrors } from "@hydrogen/std";

export const storageError = defineErrors({
  STORAGE_TOO_NEW: {
    message: "The database was written by a newer version",
    retryable: false,
    hint: "Run the version that wrote it, or move the file away to start anew.",
  },
});
