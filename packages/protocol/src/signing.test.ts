import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, hexToBytes } from "@hydrogen/std";
import { secp256k1 } from "@noble/curves/secp256k1";
import { getAddress, hashTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { keccak256 } from "./hashes.ts";
import type { Address } from "./ids.ts";
import {
  addressOfPrivateKey,
  addressOfPublicKey,
  checksumAddress,
  recoverAddress,
  signDigest,
} from "./keys.ts";
import {
  authorizeRequest,
  formatAuthorization,
  parseAuthorization,
  requestDigest,
  requestTypedData,
  verifyAuthorization,
} from "./request-signing.ts";
import {
  recoverSeedsSigners,
  type SeedsParams,
  seedsDigest,
  seedsPreimage,
  signSeedsRequest,
} from "./seeds-signing.ts";
import { createKeySigner } from "./signer.ts";
import { createRandom } from "./testing/random.ts";

// A published test key of the original network.
const privateKey = "0x420fcabfd5dbb55215490693062e6e530840c64de837d071f0d9da21aaac861e";
const address: Address = "0xd075aB490857256e6fc85d75d8315e7c9914e008";
const signer = createKeySigner(privateKey);
const random = createRandom(0x516);

const seedsVectors: { params: SeedsParams; timestampSec: number; digest: string; signature: string }[] = [
  {
    params: { task_id: 1 },
    timestampSec: 1692446475,
    digest: "0x6a013ab8b10d8cefecb75c812c37fd34d62f7d62d58a531d2ce44daeca2d99f4",
    signature:
      "0xdd78a14f5dcef6a57c5cfba8466baa1ac0ad2767e52eaf5a409895742e0475b4402acacaed2a2d7f158eac2f39849d653b45f207b0204858114cd38c415de5c700",
  },
  {
    params: { task_id: 42n, image_num: "0" },
    timestampSec: 1700000000,
    digest: "0x4ba6a26c06c8520a7ff2562462984dfe3b480a9ada737ed80b1246a7d86acdf7",
    signature:
      "0x54bcf000cba828d82758092128e2f5efa10f2b696c20bfcf4e5365ea27e7bb5326b2e43e4b9cbd4a8e8be1c0e1778458e5e46a2eb889c29eb4ffbe60d0ff4fd101",
  },
];

test("derives addresses from keys, checksummed", () => {
  assert.equal(signer.address, address);
  const publicKey = secp256k1.getPublicKey(privateKey.slice(2), false);
  assert.equal(addressOfPublicKey(publicKey), address);
  assert.equal(addressOfPublicKey(publicKey.subarray(1)), address);
  assert.equal(addressOfPublicKey(secp256k1.getPublicKey(privateKey.slice(2), true)), address);
  for (let i = 0; i < 50; i++) {
    const plain = bytesToHex(random.bytes(20));
    assert.equal(checksumAddress(plain), getAddress(plain));
  }
});

test("refuses keys outside the group and malformed addresses, and keeps them out of the message", () => {
  for (const key of [`0x${"00".repeat(32)}`, `0x${"ff".repeat(32)}`, "0x1234", "secret"]) {
    assert.throws(
      () => addressOfPrivateKey(key as `0x${string}`),
      (error: Error & { code?: string }) => error.code === "KEY_INVALID" && !error.message.includes(key),
    );
  }
  assert.throws(() => checksumAddress("0x12"), { code: "ADDRESS_INVALID" });
});

test("signs in the seeds' scheme as the original network's vectors say", async () => {
  for (const { params, timestampSec, digest, signature } of seedsVectors) {
    assert.equal(seedsDigest(params, timestampSec), digest);
    assert.deepEqual(await signSeedsRequest(params, timestampSec, signer), {
      timestamp: timestampSec,
      signature,
    });
    assert.deepEqual(recoverSeedsSigners(params, timestampSec, signature, timestampSec + 60), [address]);
  }
});

test("sorts keys at every level and writes integers of any size", () => {
  const params = { b: { z: 1, a: [{ y: null, x: true }] }, a: 2n ** 70n, Z: "ü" };
  assert.equal(
    seedsPreimage(params, 5),
    '{"Z":"ü","a":1180591620717411303424,"b":{"a":[{"x":true,"y":null}],"z":1}}5',
  );
});

test("escapes strings as Go does when signing", () => {
  const params = { t: 'a<b>&"\\\u2028\u2029\u0001\b\f\n\u007f\\b' };
  const head = '{"t":"a';
  const tail = '\\n\u007f\\\\b"}1';
  assert.equal(
    seedsPreimage(params, 1, "go"),
    `${head}\\u003cb\\u003e\\u0026\\"\\\\\\u2028\\u2029\\u0001\\b\\f${tail}`,
  );
  assert.equal(
    seedsPreimage(params, 1, "go-1.21"),
    `${head}\\u003cb\\u003e\\u0026\\"\\\\\\u2028\\u2029\\u0001\\u0008\\u000c${tail}`,
  );
  assert.equal(seedsPreimage(params, 1, "python"), `${head}<b>&\\"\\\\\u2028\u2029\\u0001\\b\\f${tail}`);
});

test("accepts a signature over Python's escaping as well as over Go's", async () => {
  const params = { task_args: '{"prompt":"a < b & c"}', task_id: 3 };
  const python = await signer.signDigest(seedsDigest(params, 100, "python"));
  const go = await signer.signDigest(seedsDigest(params, 100, "go"));
  assert.notEqual(python, go);
  for (const signature of [python, go]) {
    const candidates = recoverSeedsSigners(params, 100, signature, 100);
    assert.ok(candidates.includes(address));
    assert.equal(candidates.length, 2);
  }
});

test("recovers another address when a parameter, the time or the signature was changed", () => {
  const { params, timestampSec, signature } = seedsVectors[1]!;
  assert.ok(
    !recoverSeedsSigners({ ...params, task_id: 43 }, timestampSec, signature, timestampSec).includes(address),
  );
  assert.ok(!recoverSeedsSigners(params, timestampSec + 1, signature, timestampSec).includes(address));
});

test("refuses a seeds' signature a second too late, too early, or with a wrong recovery id", () => {
  const { params, timestampSec, signature } = seedsVectors[0]!;
  for (const nowSec of [timestampSec + 61, timestampSec - 61, Number.NaN]) {
    assert.throws(() => recoverSeedsSigners(params, timestampSec, signature, nowSec), {
      code: "SIGNATURE_EXPIRED",
    });
  }
  for (const v of ["1b", "02", ""]) {
    const wrong = signature.slice(0, -2) + v;
    assert.throws(() => recoverSeedsSigners(params, timestampSec, wrong, timestampSec), {
      code: "SIGNATURE_INVALID",
    });
  }
});

test("refuses the other form of a signature, with a high s", () => {
  const digest = keccak256("0x01");
  const bytes = hexToBytes(signDigest(privateKey, digest, 0));
  const s = BigInt(bytesToHex(bytes.subarray(32, 64)));
  const highS = (secp256k1.CURVE.n - s).toString(16).padStart(64, "0");
  const malleated = `${bytesToHex(bytes.subarray(0, 32))}${highS}${bytes[64] === 0 ? "01" : "00"}`;
  assert.throws(() => recoverAddress(digest, malleated), { code: "SIGNATURE_INVALID" });
});

const domain = { chainId: 31337, verifyingContract: "0x5FbDB2315678afecb367f032d93F642f64180aa3" } as const;
const message = {
  relay: "https://relay.example",
  method: "POST",
  path: "/v1/inference_tasks/7/results?x=ü",
  bodyHash: keccak256("0x1234"),
  nonce: keccak256("0x99"),
  expiry: 1_700_000_300n,
} as const;

test("hashes a request as EIP-712 says", () => {
  for (let i = 0; i < 30; i++) {
    const one = {
      relay: `https://${bytesToHex(random.bytes(random.below(40)))}`,
      method: random.pick(["GET", "POST"]),
      path: `/${bytesToHex(random.bytes(random.below(90)))}`,
      bodyHash: bytesToHex(random.bytes(32)),
      nonce: bytesToHex(random.bytes(32)),
      expiry: random.bigint(40),
    };
    const where = { chainId: random.below(1e9), verifyingContract: getAddress(bytesToHex(random.bytes(20))) };
    assert.equal(requestDigest(where, one), hashTypedData(requestTypedData(where, one)));
  }
});

test("signs a request as a viem account does", async () => {
  const data = requestTypedData(domain, message);
  assert.equal(await signer.signTypedData(data), await privateKeyToAccount(privateKey).signTypedData(data));
});

const request = { relay: message.relay, method: "post", path: message.path };
const body = hexToBytes("0x1234");
const nowSec = 1_700_000_000;
const authorize = () =>
  authorizeRequest(signer, domain, { ...request, body, nonce: message.nonce, expirySec: nowSec + 300 });

test("verifies what it signed, and names the signer, the nonce and the body", async () => {
  const verified = verifyAuthorization(await authorize(), domain, request, nowSec);
  assert.equal(verified.address, address);
  assert.equal(verified.nonce, message.nonce);
  assert.equal(verified.bodyHash, keccak256(body));
  assert.equal(verified.expirySec, nowSec + 300);
});

test("refuses a header that was signed for another relay, method, path, chain, contract, body or nonce", async () => {
  const header = await authorize();
  const refused = { code: "SIGNATURE_INVALID" };
  for (const other of [
    { relay: "https://other.example" },
    { method: "GET" },
    { path: "/v1/inference_tasks/7/results" },
  ]) {
    assert.throws(() => verifyAuthorization(header, domain, { ...request, ...other }, nowSec), refused);
  }
  for (const other of [{ chainId: 1 }, { verifyingContract: address }]) {
    assert.throws(() => verifyAuthorization(header, { ...domain, ...other }, request, nowSec), refused);
  }
  const parsed = parseAuthorization(header);
  for (const other of [
    { bodyHash: message.nonce },
    { nonce: message.bodyHash },
    { address: domain.verifyingContract },
  ]) {
    const changed = formatAuthorization({ ...parsed, ...other });
    assert.throws(() => verifyAuthorization(changed, domain, request, nowSec), refused);
  }
});

test("refuses a header after its expiry, and one that is valid for too long", async () => {
  const header = await authorize();
  const expired = { code: "SIGNATURE_EXPIRED" };
  assert.doesNotThrow(() => verifyAuthorization(header, domain, request, nowSec + 300));
  assert.throws(() => verifyAuthorization(header, domain, request, nowSec + 301), expired);
  assert.throws(() => verifyAuthorization(header, domain, request, nowSec - 1), expired);
});

test("reads the fields in any order and refuses everything else", async () => {
  const header = await authorize();
  const [scheme, ...fields] = header.split(/(?<=Hydrogen) |, /) as [string, ...string[]];
  assert.deepEqual(
    parseAuthorization(`${scheme}  ${fields.toReversed().join(",")}`),
    parseAuthorization(header),
  );
  for (const wrong of [
    "",
    "Bearer abc",
    header.slice(0, -1),
    header.replace("expiry", "until"),
    `${header}, nonce="${message.nonce}"`,
    header.replace(/, body="[^"]*"/, ""),
    header.replace(/expiry="[^"]*"/, 'expiry="1e9"'),
    header.replace(/expiry="[^"]*"/, 'expiry="-1"'),
    `${header}, __proto__="1"`,
    header.replace("signature=", `${" ".repeat(1000)}signature=`),
  ]) {
    assert.throws(() => parseAuthorization(wrong), { code: "AUTHORIZATION_MALFORMED" }, wrong);
  }
});
