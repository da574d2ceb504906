/** The little of Solidity's ABI encoding that the protocol hashes. Everything is a row of 32-byte words. */
import { concatBytes, type Hex, hexToBytes } from "@hydrogen/std";
import { protocolError } from "./errors.ts";

/** Bytes, or their hexadecimal text. */
export type BytesLike = Uint8Array | Hex;

/** @throws HASH_INPUT_INVALID if the text is not hexadecimal, or the length differs from `length`. */
export function toBytes(value: BytesLike, length?: number): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = typeof value === "string" ? hexToBytes(value) : value;
  } catch (cause) {
    throw protocolError("HASH_INPUT_INVALID", { value: String(value).slice(0, 80) }, cause);
  }
  if (length !== undefined && bytes.length !== length) {
    throw protocolError("HASH_INPUT_INVALID", { expectedBytes: length, actualBytes: bytes.length });
  }
  return bytes;
}

/** @throws HASH_INPUT_INVALID outside 0 … 2^256 − 1. */
export function uintWord(value: bigint | number): Uint8Array {
  const safe = typeof value === "bigint" || Number.isSafeInteger(value);
  if (!safe || value < 0 || BigInt(value) >> 256n !== 0n)
    throw protocolError("HASH_INPUT_INVALID", { value });
  return hexToBytes(`0x${value.toString(16).padStart(64, "0")}`);
}

/** One word: twelve zeros and the 20 bytes. */
export function addressWord(address: BytesLike): Uint8Array {
  return concatBytes(new Uint8Array(12), toBytes(address, 20));
}

/** abi.encode(bytes, bytes32): the offset of the bytes, the word, then length and bytes, padded. */
export function encodeBytesAndWord(bytes: Uint8Array, word: Uint8Array): Uint8Array {
  const padding = new Uint8Array((32 - (bytes.length % 32)) % 32);
  return concatBytes(uintWord(64), word, uintWord(bytes.length), bytes, padding);
}
