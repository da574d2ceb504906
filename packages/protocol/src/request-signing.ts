/**
 * The signature of a relay request (docs/protocol.md §4.1): EIP-712, so that a wallet can show and sign it; bound to the
 * chain, the relay, the method, the path with its query, the body, a nonce and an expiry, so that it is good for one
 * request only. The server remembers a nonce until its expiry.
 */
import { concatBytes, equalHex, type Hex, utf8Encode } from "@hydrogen/std";
import { addressWord, toBytes, uintWord } from "./abi.ts";
import { protocolError } from "./errors.ts";
import { keccak256 } from "./hashes.ts";
import type { Address } from "./ids.ts";
import { checksumAddress, recoverAddress } from "./keys.ts";
import type { Signer } from "./signer.ts";

/** Which network: the chain and its Task contract. */
export type RequestDomain = { chainId: number; verifyingContract: Address };

export type SignedRequest = {
  /** The relay's public origin, such as `https://relay.example`. */
  relay: string;
  /** Upper case. */
  method: string;
  /** With the query, as sent. */
  path: string;
  /** keccak256 of the exact body; of no bytes where there is none. */
  bodyHash: Hex;
  /** 32 random bytes. */
  nonce: Hex;
  expiry: bigint;
};

/** The seconds that a signature may be valid from now. */
export const maxExpiryAheadSec = 300;

const requestTypes = {
  Request: [
    { name: "relay", type: "string" },
    { name: "method", type: "string" },
    { name: "path", type: "string" },
    { name: "bodyHash", type: "bytes32" },
    { name: "nonce", type: "bytes32" },
    { name: "expiry", type: "uint256" },
  ],
} as const;

/** What a wallet is asked to sign, in the shape of viem's `signTypedData`. */
export type RequestTypedData = {
  domain: { name: "Hydrogen Relay"; version: "1"; chainId: number; verifyingContract: Address };
  types: typeof requestTypes;
  primaryType: "Request";
  message: SignedRequest;
};

export function requestTypedData(domain: RequestDomain, message: SignedRequest): RequestTypedData {
  return {
    domain: { name: "Hydrogen Relay", version: "1", ...domain },
    types: requestTypes,
    primaryType: "Request",
    message,
  };
}

/**
 * The digest that is signed: keccak256(0x1901 ‖ domain separator ‖ hash of the request).
 * @throws HASH_INPUT_INVALID
 * @see EIP-712
 */
export function requestDigest(domain: RequestDomain, request: SignedRequest): Hex {
  const separator = hashWords(
    word("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
    word("Hydrogen Relay"),
    word("1"),
    uintWord(domain.chainId),
    addressWord(domain.verifyingContract),
  );
  const members = requestTypes.Request.map(({ type, name }) => `${type} ${name}`).join(",");
  const struct = hashWords(
    word(`Request(${members})`),
    word(request.relay),
    word(request.method),
    word(request.path),
    toBytes(request.bodyHash, 32),
    toBytes(request.nonce, 32),
    uintWord(request.expiry),
  );
  return keccak256(concatBytes(Uint8Array.of(0x19, 0x01), toBytes(separator), toBytes(struct)));
}

export function typedDataDigest({ domain, message }: RequestTypedData): Hex {
  return requestDigest({ chainId: domain.chainId, verifyingContract: domain.verifyingContract }, message);
}

/** What the `Authorization` header carries. */
export type Authorization = {
  address: Address;
  nonce: Hex;
  expirySec: number;
  bodyHash: Hex;
  signature: Hex;
};

/**
 * Signs a request.
 * @param request `nonce` must be 32 fresh random bytes, `expirySec` at most 300 s ahead of the relay's clock.
 * @returns The value of the `Authorization` header.
 * @throws HASH_INPUT_INVALID, and whatever the signer throws.
 * @example
 * headers.authorization = await authorizeRequest(signer, { chainId, verifyingContract: task }, {
 *   relay: "https://relay.example", method: "GET", path: "/v1/inference_tasks/7", body: new Uint8Array(), nonce, expirySec,
 * });
 */
export async function authorizeRequest(
  signer: Signer,
  domain: RequestDomain,
  request: {
    relay: string;
    method: string;
    path: string;
    /** The exact bytes, or their keccak256 if they are too large to hold. */
    body: Uint8Array | { hash: Hex };
    nonce: Hex;
    expirySec: number;
  },
): Promise<string> {
  const { relay, path, nonce, expirySec, body } = request;
  const bodyHash = body instanceof Uint8Array ? keccak256(body) : body.hash;
  const message = {
    relay,
    method: request.method.toUpperCase(),
    path,
    bodyHash,
    nonce,
    expiry: BigInt(expirySec),
  };
  // Refuses malformed fields here rather than at the relay.
  requestDigest(domain, message);
  const signature = await signer.signTypedData(requestTypedData(domain, message));
  return formatAuthorization({ address: signer.address, nonce, expirySec, bodyHash, signature });
}

/**
 * Checks a request's header against what was requested. Two things remain for the caller: that the body really hashes to
 * the returned `bodyHash` (it may still be streaming in), and that the nonce is new for this address.
 * @throws AUTHORIZATION_MALFORMED if the header cannot be read.
 * @throws SIGNATURE_EXPIRED if the expiry has passed or lies more than 300 s ahead.
 * @throws SIGNATURE_INVALID if the signature is not that of the named address over this request.
 */
export function verifyAuthorization(
  header: string,
  domain: RequestDomain,
  request: { relay: string; method: string; path: string },
  nowSec: number,
): Authorization {
  const authorization = parseAuthorization(header);
  const { address, nonce, expirySec, bodyHash, signature } = authorization;
  if (!(expirySec >= nowSec && expirySec <= nowSec + maxExpiryAheadSec)) {
    throw protocolError("SIGNATURE_EXPIRED", { expirySec, nowSec, maxAheadSec: maxExpiryAheadSec });
  }
  const { relay, path } = request;
  const message = {
    relay,
    method: request.method.toUpperCase(),
    path,
    bodyHash,
    nonce,
    expiry: BigInt(expirySec),
  };
  const signer = recoverAddress(requestDigest(domain, message), signature);
  if (!equalHex(signer, address)) {
    throw protocolError("SIGNATURE_INVALID", {
      reason: "signed by another key, or for another request",
      address,
    });
  }
  return authorization;
}

export function formatAuthorization(authorization: Authorization): string {
  const { address, nonce, expirySec, bodyHash, signature } = authorization;
  return `Hydrogen address="${address}", nonce="${nonce}", expiry="${expirySec}", body="${bodyHash}", signature="${signature}"`;
}

const fieldPatterns = {
  address: /^0x[0-9a-fA-F]{40}$/,
  nonce: /^0x[0-9a-fA-F]{64}$/,
  expiry: /^(?:0|[1-9][0-9]{0,14})$/,
  body: /^0x[0-9a-fA-F]{64}$/,
  signature: /^0x[0-9a-fA-F]{130}$/,
} as const;

/**
 * Reads the header; the five fields may come in any order.
 * @returns Hexadecimal in lower case, so that equal nonces are equal strings; the address checksummed.
 * @throws AUTHORIZATION_MALFORMED
 */
export function parseAuthorization(header: string): Authorization {
  const malformed = (reason: string) => protocolError("AUTHORIZATION_MALFORMED", { reason });
  if (header.length > 1024) throw malformed("too long");
  const scheme = /^Hydrogen +/i.exec(header);
  if (!scheme) throw malformed("scheme");
  const fields = new Map<string, string>();
  for (const part of header.slice(scheme[0].length).split(",")) {
    const [, name = "", value = ""] = /^ *([a-z]+)="([0-9a-zA-Z]*)" *$/.exec(part) ?? [];
    const pattern = Object.hasOwn(fieldPatterns, name)
      ? fieldPatterns[name as keyof typeof fieldPatterns]
      : undefined;
    if (!pattern?.test(value) || fields.has(name)) throw malformed(name || "syntax");
    fields.set(name, value);
  }
  if (fields.size !== Object.keys(fieldPatterns).length) throw malformed("a field is missing");
  const hex = (name: string) => fields.get(name)!.toLowerCase() as Hex;
  return {
    address: checksumAddress(hex("address")),
    nonce: hex("nonce"),
    expirySec: Number(fields.get("expiry")),
    bodyHash: hex("body"),
    signature: hex("signature"),
  };
}

function word(text: string): Uint8Array {
  return toBytes(keccak256(utf8Encode(text)));
}

function hashWords(...words: Uint8Array[]): Hex {
  return keccak256(concatBytes(...words));
}
