import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "./protobuf.ts";

const hex = (message: Message) => Buffer.from(message.encode()).toString("hex");

// Expected bytes are those of the protobuf encoding guide, or follow from its rules by hand.
test("writes varints in groups of seven bits, the lowest first", () => {
  assert.equal(hex(new Message().int(1, 150)), "089601");
  assert.equal(hex(new Message().int(1, 0)), "0800");
  assert.equal(hex(new Message().int(20, 1)), "a00101");
  assert.equal(hex(new Message().int(1, 2n ** 40n)), "08808080808020");
});

test("writes negative numbers as 64-bit two's complement", () => {
  assert.equal(hex(new Message().int(1, -1)), "08ffffffffffffffffff01");
});

test("writes texts, floats and nested messages", () => {
  assert.equal(hex(new Message().text(2, "testing")), "120774657374696e67");
  assert.equal(hex(new Message().float(3, 1.5)), "1d0000c03f");
  assert.equal(hex(new Message().message(3, new Message().int(1, 150))), "1a03089601");
});

test("grows with what is written into it", () => {
  const long = "x".repeat(100_000);
  const bytes = new Message().text(1, long).text(2, "end").encode();
  assert.equal(bytes.length, 1 + 3 + long.length + 1 + 1 + 3);
  assert.equal(Buffer.from(bytes.subarray(-3)).toString(), "end");
});
