import { defineErrors } from "@hydrogen/std";

export const storageError = defineErrors({
  STORAGE_IN_USE: {
    message: "Another process works in this directory",
    retryable: true,
    hint: "Stop it, or choose another directory.",
  },
  STORAGE_TOO_NEW: {
    message: "The database was written by a newer version",
    retryable: false,
    hint: "Run the version that wrote it, or move the file away to start anew.",
  },
  STORAGE_BLOB_NAME_INVALID: {
    message: "Not a blob name",
    retryable: false,
    hint: "Segments of lower-case letters, digits, dots, dashes and underscores, joined by slashes.",
  },
  STORAGE_BLOB_TOO_LARGE: { message: "The blob is larger than allowed", retryable: false },
  STORAGE_WRITE_FAILED: {
    message: "The blob could not be written",
    retryable: true,
    hint: "Is the disk full, and the directory writable?",
  },
});
