/** Turns what viem throws into our errors, by type and code, never by text. */
import { type ErrorFacts, HydrogenError } from "@hydrogen/std";
import { BaseError, type Hex, HttpRequestError, TimeoutError } from "viem";
import { chainError } from "./errors.ts";

const limitExceeded = -32005;
const tooManyRequests = 429;

/** Our error for a failed JSON-RPC request; errors that are ours already, and aborts, pass unchanged. */
export function rpcError(error: unknown, facts: ErrorFacts): unknown {
  if (error instanceof HydrogenError || (error instanceof Error && error.name === "AbortError")) return error;
  const refusal = findRefusal(error);
  if (refusal !== undefined) {
    const code = refusal.code === limitExceeded ? "CHAIN_BUSY" : "CHAIN_RPC_ERROR";
    return chainError(code, { ...facts, rpcCode: refusal.code, rpcMessage: refusal.message }, error);
  }
  const http = find(error, HttpRequestError);
  const status = http?.status;
  if (status === tooManyRequests) return chainError("CHAIN_BUSY", facts, error);
  const away =
    http !== undefined ? status === undefined || status >= 500 : find(error, TimeoutError) !== undefined;
  return chainError(away ? "CHAIN_UNREACHABLE" : "CHAIN_RPC_ERROR", { ...facts, status }, error);
}

/** The bytes a contract reverted with, if that is why the request failed. */
export function revertDataOf(error: unknown): Hex | undefined {
  const refusal = findRefusal(error instanceof HydrogenError ? error.cause : error);
  if (refusal === undefined) return undefined;
  const data = nestedData(refusal.data);
  return data ?? (refusal.code === 3 ? "0x" : undefined);
}

type Refusal = { code: number; message: string; data: unknown };

/** The error object of a JSON-RPC response or of an EIP-1193 wallet: the innermost cause that has a number as code. */
function findRefusal(error: unknown): Refusal | undefined {
  let found: Refusal | undefined;
  for (
    let cause = error;
    typeof cause === "object" && cause !== null;
    cause = "cause" in cause ? cause.cause : null
  ) {
    if (cause instanceof DOMException || !("code" in cause) || typeof cause.code !== "number") continue;
    const message = "details" in cause ? cause.details : "message" in cause ? cause.message : "";
    found = { code: cause.code, message: String(message), data: "data" in cause ? cause.data : undefined };
  }
  return found;
}

function find<T>(error: unknown, type: new (...args: never[]) => T): T | undefined {
  if (!(error instanceof BaseError)) return undefined;
  const found = error.walk((cause) => cause instanceof type);
  return found instanceof type ? found : undefined;
}

/** Nodes put it into `error.data`, or one level deeper into `error.data.data`. */
function nestedData(data: unknown): Hex | undefined {
  if (typeof data === "string") return /^0x(?:[0-9a-fA-F]{2})*$/.test(data) ? (data as Hex) : undefined;
  return typeof data === "object" && data !== null && "data" in data ? nestedData(data.data) : undefined;
}
