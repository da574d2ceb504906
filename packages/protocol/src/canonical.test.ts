import assert from "node:assert/strict";
import { test } from "node:test";
import { canonicalJson, textDigest } from "./canonical.ts";
import { keccak256, taskHash } from "./hashes.ts";

test("writes one text whatever the order of the keys", () => {
  const a = {
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content: "hi" } }],
    usage: { b: 1, a: 2 },
  };
  const b = {
    usage: { a: 2, b: 1 },
    choices: [{ message: { content: "hi", role: "assistant" }, index: 0 }],
    model: "m",
  };
  assert.equal(
    canonicalJson(a),
    '{"choices":[{"index":0,"message":{"content":"hi","role":"assistant"}}],"model":"m","usage":{"a":2,"b":1}}',
  );
  assert.equal(textDigest(a), textDigest(b));
  assert.equal(textDigest(a), taskHash(canonicalJson(a)));
  assert.notEqual(textDigest(a), keccak256("0x"));
});

test("keeps the order of arrays", () => {
  assert.notEqual(textDigest([1, 2]), textDigest([2, 1]));
});

test("writes numbers and strings as RFC 8785 does", () => {
  // The sample of RFC 8785 §3.2.2 and its expected text.
  const sample = {
    numbers: [Number("333333333.33333329"), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
    literals: [null, true, false],
  };
  assert.equal(
    canonicalJson(sample),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  assert.equal(canonicalJson(-0), "0");
});

test("sorts keys by UTF-16 code units", () => {
  // RFC 8785 §3.2.3
  const keys = ["\u20ac", "\r", "\ufb33", "1", "\ud83d\ude00", "\u0080", "\u00f6"];
  const sorted = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\ud83d\ude00", "\ufb33"];
  const text = canonicalJson(Object.fromEntries(keys.map((key) => [key, 0])));
  assert.equal(text, `{${sorted.map((key) => `${JSON.stringify(key)}:0`).join(",")}}`);
});

test("refuses what JSON cannot hold", () => {
  let deep: unknown = 0;
  for (let i = 0; i < 100; i++) deep = [deep];
  const wrong = [
    undefined,
    Number.NaN,
    Infinity,
    1n,
    () => 0,
    Symbol(),
    new Date(0),
    "\ud800",
    { a: undefined },
    new Array(1),
    deep,
  ];
  for (const value of wrong) assert.throws(() => canonicalJson(value), { code: "JSON_NOT_CANONICAL" });
});
