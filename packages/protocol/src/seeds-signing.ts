/**
 * The request signature of the original network, for clients that speak it (docs/protocol.md §4.2): the parameters as
 * compact JSON with sorted keys, then the Unix time, keccak256, secp256k1 over the raw digest. No host, method, path or
 * nonce is signed, so a captured request can be replayed for a minute: new clients use {@link requestDigest} instead.
 */
import { type Hex, utf8Encode } from "@hydrogen/std";
import { protocolError } from "./errors.ts";
import { keccak256 } from "./hashes.ts";
import type { Address } from "./ids.ts";
import { recoverAddress } from "./keys.ts";
import type { DigestSigner } from "./signer.ts";

/** What may be signed: the request's parameters without `timestamp`, `signature` and files. Integers may be bigint. */
export type SeedsParams = { readonly [key: string]: SeedsValue };
export type SeedsValue = string | number | bigint | boolean | null | readonly SeedsValue[] | SeedsParams;

/** Whose way of writing strings. Servers check all of them; `go` is what the original relay expects. */
export type SeedsEscaping = "go" | "go-1.21" | "python";

const escapings: readonly SeedsEscaping[] = ["go", "python", "go-1.21"];

/** Seconds that the client's clock may differ from the server's. */
export const seedsMaxSkewSec = 60;

/** The exact text that is hashed. @throws SIGNATURE_INVALID if a value has no JSON form. */
export function seedsPreimage(
  params: SeedsParams,
  timestampSec: number,
  escaping: SeedsEscaping = "go",
): string {
  if (!Number.isSafeInteger(timestampSec)) throw protocolError("SIGNATURE_INVALID", { reason: "timestamp" });
  return write(params, escaping) + timestampSec;
}

/** keccak256 of {@link seedsPreimage}. */
export function seedsDigest(params: SeedsParams, timestampSec: number, escaping: SeedsEscaping = "go"): Hex {
  return keccak256(utf8Encode(seedsPreimage(params, timestampSec, escaping)));
}

/** @returns The two fields to add to the query, form or body. */
export async function signSeedsRequest(
  params: SeedsParams,
  timestampSec: number,
  signer: DigestSigner,
): Promise<{ timestamp: number; signature: Hex }> {
  const signature = await signer.signDigest(seedsDigest(params, timestampSec));
  return { timestamp: timestampSec, signature };
}

/**
 * Who may have signed. One address, or several where the ways of escaping differ for these parameters: at most one of
 * them is a real account, the others are what a wrong digest recovers to, so compare with the address you expect.
 * @throws SIGNATURE_INVALID if it is malformed or v is not 0 or 1.
 * @throws SIGNATURE_EXPIRED if the timestamp is more than 60 s from `nowSec`.
 */
export function recoverSeedsSigners(
  params: SeedsParams,
  timestampSec: number,
  signature: string,
  nowSec: number,
): Address[] {
  // Written so that NaN fails.
  if (!(Math.abs(nowSec - timestampSec) <= seedsMaxSkewSec)) {
    throw protocolError("SIGNATURE_EXPIRED", { timestampSec, nowSec });
  }
  const digests = new Set(escapings.map((escaping) => seedsDigest(params, timestampSec, escaping)));
  const signers = new Set<Address>();
  let failure: unknown;
  for (const digest of digests) {
    try {
      signers.add(recoverAddress(digest, signature, [0, 1]));
    } catch (error) {
      failure = error;
    }
  }
  if (signers.size === 0) throw failure;
  return [...signers];
}

function write(value: SeedsValue, escaping: SeedsEscaping): string {
  switch (typeof value) {
    case "string":
      return quote(value, escaping);
    case "bigint":
      return value.toString();
    case "number":
      if (!Number.isFinite(value)) break;
      return JSON.stringify(value);
    case "boolean":
      return String(value);
    case "object": {
      if (value === null) return "null";
      if (isArray(value)) return `[${value.map((item) => write(item, escaping)).join(",")}]`;
      const members = Object.keys(value)
        .sort()
        .map((key) => `${quote(key, escaping)}:${write(value[key]!, escaping)}`);
      return `{${members.join(",")}}`;
    }
  }
  throw protocolError("SIGNATURE_INVALID", { reason: "a parameter has no JSON form" });
}

function isArray(value: SeedsParams | readonly SeedsValue[]): value is readonly SeedsValue[] {
  return Array.isArray(value);
}

/** Python (ensure_ascii=False) escapes as ECMAScript does; Go also escapes what is special in HTML and two separators. */
function quote(text: string, escaping: SeedsEscaping): string {
  const plain = JSON.stringify(text.toWellFormed());
  if (escaping === "python") return plain;
  const go = plain.replace(/[<>&\u2028\u2029]/g, unicodeEscape);
  // Before 1.22 Go had no short form for backspace and form feed. An even run of backslashes before them is text.
  return escaping === "go" ? go : go.replace(/\\(.)/g, (pair, letter) => shortForms[letter] ?? pair);
}

const shortForms: Readonly<Record<string, string>> = { b: "\\u0008", f: "\\u000c" };

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
