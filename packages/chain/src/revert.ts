/** From the bytes a contract reverts with to a coded error with the custom error's name and arguments. */
import { type ErrorFacts, type HydrogenError, isHydrogenError } from "@hydrogen/std";
import { type Abi, decodeErrorResult, type Hex } from "viem";
import { chainError } from "./errors.ts";

/**
 * A TRANSACTION_REVERTED. Its facts: `error` (the custom error's name, "Error" or "Panic"), each argument under
 * its own name, plus what the caller adds. Undecodable data is kept as `data`.
 */
export function revertError(data: Hex, abi: Abi, facts: ErrorFacts = {}, cause?: unknown): HydrogenError {
  return chainError("TRANSACTION_REVERTED", { ...facts, ...decodeRevert(data, abi) }, cause);
}

/** Whether the error is a revert, with one of the given custom errors if any are named. */
export function isRevert(error: unknown, ...names: string[]): error is HydrogenError {
  if (!isHydrogenError(error, "TRANSACTION_REVERTED")) return false;
  return names.length === 0 || names.includes(String(error.facts.error));
}

function decodeRevert(data: Hex, abi: Abi): ErrorFacts {
  if (data === "0x") return {};
  try {
    const { abiItem, args, errorName } = decodeErrorResult({ abi, data });
    const values = (args ?? []) as readonly unknown[];
    if (errorName === "Panic") return { error: "Panic", panicCode: Number(values[0]) };
    if (errorName === "Error") return { error: "Error", reason: String(values[0]) };
    const inputs = "inputs" in abiItem ? (abiItem.inputs ?? []) : [];
    return {
      error: errorName,
      ...Object.fromEntries(values.map((value, i) => [inputs[i]?.name || `arg${i}`, asFact(value)])),
    };
  } catch {
    return { data };
  }
}

function asFact(value: unknown): string | number | bigint | boolean {
  if (typeof value === "bigint" || typeof value === "number" || typeof value === "boolean") return value;
  return typeof value === "string"
    ? value
    : JSON.stringify(value, (_, v) => (typeof v === "bigint" ? v.toString() : v));
}
