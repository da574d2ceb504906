/** Where a network's contracts are. Written by the deployment, read by everyone else. */
import { type Address, getAddress, isAddress } from "viem";
import { chainError } from "./errors.ts";

export type AddressBook = {
  readonly chainId: number;
  readonly token: Address;
  readonly node: Address;
  readonly task: Address;
  /** No event of these contracts lies below this block. */
  readonly deployedBlock: bigint;
};

export type ContractName = "token" | "node" | "task";

/**
 * Reads an address book from JSON text or parsed JSON; addresses come out checksummed.
 *
 * @throws ADDRESS_BOOK_INVALID naming the first wrong field
 */
export function parseAddressBook(json: unknown): AddressBook {
  const book = asObject(typeof json === "string" ? parseJson(json) : json);
  const chainId = Number(wholeNumber(book, "chainId"));
  const [token, node, task] = [address(book, "token"), address(book, "node"), address(book, "task")];
  if (new Set([token, node, task]).size !== 3)
    throw chainError("ADDRESS_BOOK_INVALID", { reason: "two contracts share an address" });
  return { chainId, token, node, task, deployedBlock: wholeNumber(book, "deployedBlock") };
}

/** JSON text that `parseAddressBook` reads back. */
export function formatAddressBook(book: AddressBook): string {
  return `${JSON.stringify({ ...book, deployedBlock: Number(book.deployedBlock) }, null, 2)}\n`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw chainError("ADDRESS_BOOK_INVALID", { reason: "not JSON" }, cause);
  }
}

function asObject(json: unknown): Record<string, unknown> {
  if (typeof json === "object" && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>;
  throw chainError("ADDRESS_BOOK_INVALID", { reason: "not an object" });
}

function address(book: Record<string, unknown>, field: string): Address {
  const value = book[field];
  // A mixed-case address carries a checksum, and a wrong one is a typing error.
  if (typeof value === "string" && isAddress(value) && !/^0x0*$/.test(value)) return getAddress(value);
  throw chainError("ADDRESS_BOOK_INVALID", { field, reason: "not an address" });
}

function wholeNumber(book: Record<string, unknown>, field: string): bigint {
  const value = book[field];
  if (typeof value === "bigint" && value >= 0n) return value;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw chainError("ADDRESS_BOOK_INVALID", { field, reason: "not a whole number" });
}
