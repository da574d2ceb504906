import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { createAuthorizer } from "./api-keys.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const authorize = createAuthorizer([
  { name: "studio", sha256: sha256("secret-1"), budgetWei: "10" },
  { name: "shop", sha256: sha256("secret-2"), budgetWei: "20" },
]);

test("knows a key by its hash, with its budget", () => {
  assert.deepEqual(authorize("Bearer secret-2"), { name: "shop", budgetWei: 20n });
});

test("refuses a missing, malformed or unknown key", () => {
  for (const header of [
    undefined,
    "",
    "secret-1",
    "Basic secret-1",
    "Bearer ",
    "Bearer secret-3",
    `Bearer ${sha256("secret-1")}`,
  ])
    assert.throws(() => authorize(header), { code: "API_KEY_INVALID" }, String(header));
});
