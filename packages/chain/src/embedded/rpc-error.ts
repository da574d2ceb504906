/** What a JSON-RPC client is told. Codes and texts are those of go-ethereum, because clients match on them. */

export const rpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  server: -32000,
  responseTooLarge: -32003,
  limitExceeded: -32005,
  reverted: 3,
} as const;

export class RpcError extends Error {
  readonly code: number;
  readonly data: string | undefined;

  constructor(code: number, message: string, data?: string) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export const invalidParams = (message: string): RpcError => new RpcError(rpcCodes.invalidParams, message);
export const serverError = (message: string): RpcError => new RpcError(rpcCodes.server, message);
