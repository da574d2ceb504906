/** JSON-RPC 2.0 over any transport: requests, batches, notifications, errors. */
import type { ChainLog } from "./chain.ts";
import { RpcError, rpcCodes } from "./rpc-error.ts";
import type { Subscriptions } from "./subscriptions.ts";

export type RpcMethod = (params: readonly unknown[], connection: Subscriptions | undefined) => unknown;
export type RpcMethods = Readonly<Record<string, RpcMethod>>;

const MAX_BATCH = 1_000;
const MAX_RESPONSE_BYTES = 25_000_000;
/** How much of a batch is worked on at once. */
const BATCH_WIDTH = 64;

export type RpcHandler = (body: string, connection?: Subscriptions) => Promise<string | undefined>;

/** @returns a function from a request's text to the answer's; undefined where nothing is to be answered. */
export function createRpcHandler(methods: RpcMethods, log: ChainLog): RpcHandler {
  const table = new Map(Object.entries(methods));

  const execute = async (
    method: string,
    params: readonly unknown[],
    connection: Subscriptions | undefined,
  ): Promise<unknown> => {
    const run = table.get(method);
    if (run === undefined) {
      throw new RpcError(
        rpcCodes.methodNotFound,
        `the method ${method.slice(0, 64)} does not exist/is not available`,
      );
    }
    return run(params, connection);
  };

  const answerOne = async (
    request: unknown,
    connection: Subscriptions | undefined,
  ): Promise<string | undefined> => {
    if (!isRequest(request)) {
      return failure(null, new RpcError(rpcCodes.invalidRequest, "invalid request"));
    }
    const { id } = request;
    try {
      const result = (await execute(request.method, request.params ?? [], connection)) ?? null;
      return id === undefined ? undefined : JSON.stringify({ jsonrpc: "2.0", id, result });
    } catch (error) {
      if (!(error instanceof RpcError))
        log.warn("a JSON-RPC method failed", { method: request.method, error });
      return id === undefined ? undefined : failure(id, error);
    }
  };

  const answerBatch = async (
    batch: readonly unknown[],
    connection: Subscriptions | undefined,
  ): Promise<string | undefined> => {
    if (batch.length === 0) return failure(null, new RpcError(rpcCodes.invalidRequest, "empty batch"));
    if (batch.length > MAX_BATCH)
      return failure(null, new RpcError(rpcCodes.invalidRequest, "batch too large"));
    const answers: string[] = [];
    let bytes = 0;
    for (let start = 0; start < batch.length; start += BATCH_WIDTH) {
      const part = batch.slice(start, start + BATCH_WIDTH);
      const done =
        bytes > MAX_RESPONSE_BYTES
          ? part.map(tooLarge)
          : await Promise.all(part.map((request) => answerOne(request, connection)));
      for (const answer of done) {
        if (answer === undefined) continue;
        answers.push(answer);
        bytes += answer.length;
      }
    }
    return answers.length === 0 ? undefined : `[${answers.join(",")}]`;
  };

  return async (body, connection) => {
    let parsed: unknown;
    try {
      parsed = JSON.parse(body);
    } catch {
      return failure(null, new RpcError(rpcCodes.parseError, "invalid JSON"));
    }
    return Array.isArray(parsed) ? answerBatch(parsed, connection) : answerOne(parsed, connection);
  };
}

type RpcRequest = { id?: string | number | null; method: string; params?: readonly unknown[] };

function isRequest(value: unknown): value is RpcRequest {
  if (typeof value !== "object" || value === null) return false;
  const { jsonrpc, id, method, params } = value as Record<string, unknown>;
  const idFits = id === undefined || id === null || typeof id === "string" || typeof id === "number";
  return (
    jsonrpc === "2.0" &&
    idFits &&
    typeof method === "string" &&
    (params === undefined || Array.isArray(params))
  );
}

function tooLarge(request: unknown): string | undefined {
  if (!isRequest(request)) return failure(null, new RpcError(rpcCodes.invalidRequest, "invalid request"));
  if (request.id === undefined) return undefined;
  return failure(request.id, new RpcError(rpcCodes.responseTooLarge, "response too large"));
}

function failure(id: string | number | null, error: unknown): string {
  const { code, message, data } =
    error instanceof RpcError
      ? error
      : { code: rpcCodes.internal, message: "internal error", data: undefined };
  return JSON.stringify({
    jsonrpc: "2.0",
    id,
    error: { code, message, ...(data === undefined ? {} : { data }) },
  });
}
