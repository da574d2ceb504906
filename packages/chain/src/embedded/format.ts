import { bytesToHex, type Hex } from "@hydrogen/std";

export const quantity = (value: bigint | number): Hex => `0x${value.toString(16)}`;

/** Lower-case hexadecimal without a prefix; the fast way, because state is keyed by it. */
export const hexKey = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");

export const dataHex = (bytes: Uint8Array): Hex => `0x${hexKey(bytes)}`;

export const bytesOf = (value: unknown): Uint8Array => value as Uint8Array;

export const zeroHash: Hex = bytesToHex(new Uint8Array(32));
