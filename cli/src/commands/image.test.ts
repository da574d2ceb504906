import assert from "node:assert/strict";
import { test } from "node:test";
import { fileNameOf } from "./image.ts";

test("names files after the prompt, in any script, and never leaves the directory", () => {
  assert.equal(fileNameOf("A red apple!"), "a-red-apple");
  assert.equal(fileNameOf("../../etc/passwd"), "etc-passwd");
  assert.equal(fileNameOf("яблоко 🍎"), "яблоко");
  assert.equal(fileNameOf("🍎"), "image");
  assert.equal(fileNameOf("a ".repeat(200)).length <= 60, true);
});
