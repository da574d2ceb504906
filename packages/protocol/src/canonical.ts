/** One text for one JSON value, so that two parties who hold the same value hash the same bytes. */
import type { Hex } from "@hydrogen/std";
import { protocolError } from "./errors.ts";
import { taskHash } from "./hashes.ts";

/**
 * Compact JSON with the keys of every object in ascending order of UTF-16 code units, numbers as ECMAScript prints them.
 * @throws JSON_NOT_CANONICAL for what JSON cannot hold (undefined, NaN, functions, bigint, class instances, lone
 *   surrogates) and beyond 64 levels.
 * @see RFC 8785 (JSON Canonicalization Scheme)
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
}

/** A GPT task's `result`: the 32-byte digest of the response object's canonical JSON. */
export function textDigest(response: unknown): Hex {
  return taskHash(canonicalJson(response));
}

const maxDepth = 64;

function write(value: unknown, depth: number): string {
  if (depth > maxDepth)
    throw protocolError("JSON_NOT_CANONICAL", { reason: `deeper than ${maxDepth} levels` });
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string" && value.isWellFormed()) return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${Array.from(value, (item) => write(item, depth + 1)).join(",")}]`;
  if (isPlainObject(value)) {
    const members = Object.keys(value)
      .sort()
      .map((key) => `${write(key, depth)}:${write(value[key], depth + 1)}`);
    return `{${members.join(",")}}`;
  }
  throw protocolError("JSON_NOT_CANONICAL", { reason: `a ${typeof value} that JSON cannot hold` });
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
