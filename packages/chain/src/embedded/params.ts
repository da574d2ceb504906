/** Parses JSON-RPC parameters at the border; everything further in works on bytes, bigints and numbers. */
import { hexToBytes } from "@hydrogen/std";
import { invalidParams } from "./rpc-error.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** A block number, or a name for one. */
export type BlockTag = number | "latest" | "pending" | "earliest";

export function parseObject(value: unknown, name: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidParams(`${name} must be an object`);
  }
  return value as JsonObject;
}

export function parseData(value: unknown, name: string): Uint8Array {
  if (typeof value !== "string" || !/^0x(?:[0-9a-fA-F]{2})*$/.test(value)) {
    throw invalidParams(`${name} must be 0x-prefixed bytes`);
  }
  return hexToBytes(value);
}

export function parseFixed(value: unknown, lengthBytes: number, name: string): Uint8Array {
  const bytes = parseData(value, name);
  if (bytes.length !== lengthBytes) throw invalidParams(`${name} must be ${lengthBytes} bytes`);
  return bytes;
}

export const parseAddress = (value: unknown, name = "address"): Uint8Array => parseFixed(value, 20, name);
export const parseHash = (value: unknown, name = "hash"): Uint8Array => parseFixed(value, 32, name);

export function parseQuantity(value: unknown, name: string): bigint {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) {
    throw invalidParams(`${name} must be a 0x-prefixed quantity`);
  }
  return BigInt(value);
}

/** A storage slot: a quantity of up to 32 bytes, left-padded. */
export function parseSlot(value: unknown): Uint8Array {
  return hexToBytes(`0x${parseQuantity(value, "slot").toString(16).padStart(64, "0")}`);
}

export function parseSafeInteger(value: unknown, name: string): number {
  const quantity = parseQuantity(value, name);
  if (quantity > BigInt(Number.MAX_SAFE_INTEGER)) throw invalidParams(`${name} is too large`);
  return Number(quantity);
}

/** "safe" and "finalized" are the latest block: a block of this chain is final once it is written. */
export function parseBlockTag(value: unknown): BlockTag {
  if (value === undefined || value === null) return "latest";
  if (value === "safe" || value === "finalized") return "latest";
  if (value === "latest" || value === "pending" || value === "earliest") return value;
  return parseSafeInteger(value, "block");
}
