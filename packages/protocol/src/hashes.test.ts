import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, type Hex, utf8Encode } from "@hydrogen/std";
import { encodeAbiParameters, encodePacked, keccak256 as viemKeccak256 } from "viem";
import {
  commitment,
  createKeccak,
  errorDigest,
  filesDigest,
  filesDigestOfHashes,
  gpuId,
  keccak256,
  resultDigest,
  taskHash,
} from "./hashes.ts";
import { ErrorClass, errorClassOf, nameOf, TaskStatus } from "./ids.ts";
import { createRandom } from "./testing/random.ts";

const random = createRandom(0x5eed);

test("hashes task args as the bytes they are, white space included", () => {
  assert.match(taskHash('{"a":1}'), /^0x25e7c2a9.*feb97$/);
  assert.match(taskHash('{"a": 1}'), /^0x9ceb4f2c.*28f5c$/);
  assert.equal(taskHash("ein Käse 🧀"), taskHash(utf8Encode("ein Käse 🧀")));
});

test("encodes results of any length as abi.encode does", () => {
  for (const length of [0, 1, 8, 24, 31, 32, 33, 64, 80]) {
    const result = bytesToHex(random.bytes(length));
    const files = bytesToHex(random.bytes(32));
    const encoded = encodeAbiParameters([{ type: "bytes" }, { type: "bytes32" }], [result, files]);
    assert.equal(resultDigest(result, files), viemKeccak256(encoded), `${length} bytes`);
  }
});

test("commits to an error as to an empty result with the class as its digest", () => {
  for (const errorClass of Object.values(ErrorClass)) {
    const word: Hex = `0x${errorClass.toString(16).padStart(64, "0")}`;
    const encoded = encodeAbiParameters([{ type: "bytes" }, { type: "bytes32" }], ["0x", word]);
    assert.equal(errorDigest(errorClass), viemKeccak256(encoded));
  }
});

test("binds a commitment to task, round, node, result and salt as abi.encode does", () => {
  for (let i = 0; i < 50; i++) {
    const input = {
      taskId: random.bigint(i === 0 ? 256 : 60),
      round: random.below(3),
      node: bytesToHex(random.bytes(20)),
      resultDigest: bytesToHex(random.bytes(32)),
      salt: bytesToHex(random.bytes(32)),
    };
    const encoded = encodeAbiParameters(
      [
        { type: "uint256" },
        { type: "uint256" },
        { type: "address" },
        { type: "bytes32" },
        { type: "bytes32" },
      ],
      [input.taskId, BigInt(input.round), input.node, input.resultDigest, input.salt],
    );
    assert.equal(commitment(input), viemKeccak256(encoded));
  }
});

test("names a GPU group as abi.encodePacked does", () => {
  for (const [name, vramGb] of [
    ["cpu-avx512+hydrogen-0.1.0", 8],
    ["", 0],
    ["Größe 🖥", 24],
  ] as const) {
    const packed = encodePacked(["string", "uint256"], [name, BigInt(vramGb)]);
    assert.equal(gpuId(name, vramGb), viemKeccak256(packed));
  }
});

test("digests files through the hashes of each, so that their boundaries count", () => {
  const [a, b] = [random.bytes(100), random.bytes(200)];
  assert.equal(filesDigest([a, b]), filesDigestOfHashes([keccak256(a), keccak256(b)]));
  assert.notEqual(filesDigest([a, b]), filesDigest([b, a]));
  assert.notEqual(filesDigest([a, b]), filesDigest([Uint8Array.of(...a, ...b)]));
  assert.equal(filesDigest([]), keccak256("0x"));
});

test("hashes piece by piece what it hashes whole", () => {
  const bytes = random.bytes(1000);
  const hash = createKeccak();
  for (let at = 0; at < 1000; at += 137) hash.update(bytes.subarray(at, at + 137));
  assert.equal(hash.digest(), keccak256(bytes));
});

test("refuses values that do not fit their type", () => {
  const good = {
    taskId: 1n,
    round: 0,
    node: `0x${"1".repeat(40)}`,
    resultDigest: keccak256("0x"),
    salt: keccak256("0x"),
  } as const;
  assert.match(commitment(good), /^0x[0-9a-f]{64}$/);
  for (const wrong of [
    { taskId: -1n },
    { taskId: 1n << 256n },
    { round: 0.5 },
    { round: Number.NaN },
    { node: "0x1234" },
    { node: "not an address" as Hex },
    { salt: "0x00" },
    { resultDigest: new Uint8Array(33) },
  ] as const) {
    assert.throws(() => commitment({ ...good, ...wrong }), { code: "HASH_INPUT_INVALID" });
  }
});

test("lets only the task's own faults go on chain", () => {
  assert.equal(errorClassOf("args_invalid"), 1);
  assert.equal(errorClassOf("unsupported"), 2);
  assert.equal(errorClassOf("model_invalid"), 3);
  for (const own of ["model_unavailable", "resource", "execution", "cancelled", undefined] as const) {
    assert.equal(errorClassOf(own), undefined);
  }
  assert.equal(nameOf(TaskStatus, 4), "Uploading");
  assert.equal(nameOf(TaskStatus, 99), undefined);
});
