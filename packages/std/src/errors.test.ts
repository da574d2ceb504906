import assert from "node:assert/strict";
import { test } from "node:test";
import { defineErrors, deserializeError, errorSummary, isHydrogenError } from "./errors.ts";

const testError = defineErrors({
  DISK_FULL: {
    message: "No space left",
    retryable: true,
    hint: "Free some space.",
    failureClass: "resource",
  },
});

test("an error carries its code, facts, hint and cause", () => {
  const cause = new Error("ENOSPC");
  const error = testError("DISK_FULL", { needBytes: 12n, path: undefined }, cause);
  assert.equal(error.code, "DISK_FULL");
  assert.equal(error.message, "No space left (needBytes: 12)");
  assert.equal(error.cause, cause);
  assert.equal(errorSummary(error), "DISK_FULL: No space left (needBytes: 12) ← ENOSPC");
  assert.ok(isHydrogenError(error, "DISK_FULL"));
  assert.ok(!isHydrogenError(error, "OTHER"));
});

test("an error survives the way through JSON", () => {
  const error = testError("DISK_FULL", { needBytes: 12n });
  const back = deserializeError(JSON.parse(JSON.stringify(error)));
  assert.deepEqual(back.toJSON(), error.toJSON());
  assert.equal(back.failureClass, "resource");
  assert.equal(back.retryable, true);
});
