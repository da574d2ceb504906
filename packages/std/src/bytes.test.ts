import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, concatBytes, equalBytes, hexToBytes, utf8Decode, utf8Encode } from "./bytes.ts";

test("hexadecimal text and bytes convert into each other", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assert.ok(equalBytes(hexToBytes(bytesToHex(bytes)), bytes));
  assert.equal(bytesToHex(new Uint8Array()), "0x");
});

test("refuses text that is not hexadecimal, whole bytes, and prefixed", () => {
  for (const text of ["", "00", "0x0", "0xzz", "0x00\n"])
    assert.throws(() => hexToBytes(text), RangeError, text);
});

test("joins bytes in order", () => {
  assert.deepEqual(
    concatBytes(Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3)),
    Uint8Array.of(1, 2, 3),
  );
});

test("text survives the way through bytes exactly, a byte order mark included", () => {
  const text = "\ufeffgrün 🍎";
  assert.equal(utf8Decode(utf8Encode(text)), text);
  assert.throws(() => utf8Decode(Uint8Array.of(0xc3)), TypeError);
});
