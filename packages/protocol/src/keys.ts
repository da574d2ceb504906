/** secp256k1 keys, addresses and recoverable signatures, as Ethereum uses them. */
import { bytesToHex, concatBytes, type Hex, hexToBytes, utf8Encode } from "@hydrogen/std";
import { secp256k1 } from "@noble/curves/secp256k1";
import { keccak_256 } from "@noble/hashes/sha3";
import { type BytesLike, toBytes } from "./abi.ts";
import { protocolError } from "./errors.ts";
import type { Address } from "./ids.ts";

/**
 * The address in mixed case (EIP-55).
 * @throws ADDRESS_INVALID unless it is `0x` and 40 hexadecimal digits.
 */
export function checksumAddress(address: string): Address {
  if (!/^0x[0-9a-fA-F]{40}$/.test(address))
    throw protocolError("ADDRESS_INVALID", { address: address.slice(0, 80) });
  const digits = address.slice(2).toLowerCase();
  const hash = keccak_256(utf8Encode(digits));
  const mixed = [...digits].map((digit, i) => {
    const nibble = (hash[i >> 1]! >> (i % 2 === 0 ? 4 : 0)) & 15;
    return nibble >= 8 ? digit.toUpperCase() : digit;
  });
  return `0x${mixed.join("")}`;
}

/**
 * The checksummed address of a public key, compressed (33 bytes), uncompressed (65) or bare (64).
 * @throws KEY_INVALID
 */
export function addressOfPublicKey(publicKey: BytesLike): Address {
  const bytes = toBytes(publicKey);
  try {
    const full = bytes.length === 64 ? concatBytes(Uint8Array.of(4), bytes) : bytes;
    const point = secp256k1.ProjectivePoint.fromHex(full).toRawBytes(false);
    return checksumAddress(bytesToHex(keccak_256(point.subarray(1)).subarray(12)));
  } catch (cause) {
    throw protocolError("KEY_INVALID", {}, cause);
  }
}

/** @throws KEY_INVALID */
export function addressOfPrivateKey(privateKey: BytesLike): Address {
  const key = privateKeyBytes(privateKey);
  return addressOfPublicKey(secp256k1.getPublicKey(key, false));
}

/**
 * Signs 32 bytes as they are (RFC 6979, low s).
 * @param vOffset 0 for v ∈ {0, 1}, 27 for v ∈ {27, 28}.
 * @returns `0x` r s v, 65 bytes.
 * @throws KEY_INVALID, HASH_INPUT_INVALID
 */
export function signDigest(privateKey: BytesLike, digest: BytesLike, vOffset: 0 | 27): Hex {
  const signature = secp256k1.sign(toBytes(digest, 32), privateKeyBytes(privateKey), { lowS: true });
  return bytesToHex(concatBytes(signature.toCompactRawBytes(), Uint8Array.of(signature.recovery + vOffset)));
}

/**
 * The checksummed address whose key signed the digest.
 * @param allowedV Values of the last byte to accept; default 0, 1, 27 and 28.
 * @throws SIGNATURE_INVALID if it is not 65 bytes, has another v or a high s, or recovers to nothing.
 */
export function recoverAddress(
  digest: BytesLike,
  signature: string,
  allowedV: readonly number[] = [0, 1, 27, 28],
): Address {
  if (!/^0x[0-9a-fA-F]{130}$/.test(signature))
    throw protocolError("SIGNATURE_INVALID", { reason: "not 65 bytes" });
  const bytes = hexToBytes(signature);
  const v = bytes[64]!;
  if (!allowedV.includes(v)) throw protocolError("SIGNATURE_INVALID", { reason: "recovery id", v });
  const message = toBytes(digest, 32);
  try {
    const parsed = secp256k1.Signature.fromCompact(bytes.subarray(0, 64)).addRecoveryBit(v % 27);
    if (parsed.hasHighS()) throw new RangeError("s is in the upper half of the group order");
    return addressOfPublicKey(parsed.recoverPublicKey(message).toRawBytes(false));
  } catch (cause) {
    throw protocolError("SIGNATURE_INVALID", { reason: "recovers to no key" }, cause);
  }
}

function privateKeyBytes(privateKey: BytesLike): Uint8Array {
  let key: Uint8Array;
  try {
    key = typeof privateKey === "string" ? hexToBytes(privateKey) : privateKey;
  } catch {
    // Not kept as a cause: nothing of a key belongs in an error.
    throw protocolError("KEY_INVALID");
  }
  if (!secp256k1.utils.isValidPrivateKey(key)) throw protocolError("KEY_INVALID");
  return key;
}
