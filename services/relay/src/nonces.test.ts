import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openNonces } from "./nonces.ts";

test("takes a nonce once a signer until it expires, also across a restart", () => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-nonces-"));
  const path = join(dir, "nonces.sqlite");
  const first = openNonces(path);
  assert.equal(first.take("0xAA", "0x01", 100, 0), true);
  assert.equal(first.take("0xaa", "0x01", 100, 50), false);
  assert.equal(first.take("0xbb", "0x01", 100, 50), true);
  first.close();
  const second = openNonces(path);
  assert.equal(second.take("0xaa", "0x01", 100, 100), false);
  assert.equal(second.take("0xaa", "0x01", 200, 101), true);
  second.close();
  rmSync(dir, { recursive: true });
});
