/**
 * HTTP and WebSocket on one port. A web page must not drive the chain: the Host header has to name this machine (DNS rebinding),
 * an Origin header has to be on the list, and HTTP bodies have to be declared as JSON (no "simple" cross-origin posts).
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import type { Chain } from "./chain.ts";
import { embeddedChainError } from "./errors.ts";
import type { RpcHandler } from "./json-rpc.ts";
import { createSubscriptions } from "./subscriptions.ts";

export type RpcServerOptions = {
  readonly host: string;
  readonly port: number;
  /** Origins of web pages that may use the chain; "*" for all. */
  readonly allowedOrigins: readonly string[];
  /** Names, without port, under which the chain may be addressed. */
  readonly allowedHosts: readonly string[];
};

export type RpcServer = { readonly port: number; close(): Promise<void> };

const MAX_BODY_BYTES = 5 * 1024 * 1024;
/** A subscriber that does not read is cut off. */
const MAX_UNSENT_BYTES = 32 * 1024 * 1024;

export async function startRpcServer(
  options: RpcServerOptions,
  chain: Chain,
  handle: RpcHandler,
): Promise<RpcServer> {
  const hosts = new Set(["localhost", "127.0.0.1", "[::1]", options.host, ...options.allowedHosts]);
  const isAllowed = ({ headers }: IncomingMessage): boolean => {
    const host = (headers.host ?? "").replace(/:\d+$/, "").toLowerCase();
    const { origin } = headers;
    return hosts.has(host) && (origin === undefined || isAllowedOrigin(origin));
  };
  const isAllowedOrigin = (origin: string): boolean =>
    options.allowedOrigins.includes("*") || options.allowedOrigins.includes(origin);

  const server = createServer((request, response) => {
    if (!isAllowed(request)) return end(response, 403, "forbidden");
    const { origin } = request.headers;
    if (origin !== undefined) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("vary", "origin");
    }
    if (request.method === "OPTIONS") {
      response.setHeader("access-control-allow-methods", "POST");
      response.setHeader("access-control-allow-headers", "content-type");
      return end(response, 204);
    }
    if (request.method !== "POST") return end(response, 405, "use POST");
    if (!/^application\/json\b/i.test(request.headers["content-type"] ?? "")) {
      return end(response, 415, "content-type must be application/json");
    }
    readBody(request)
      .then(async (body) => {
        if (body === undefined) return end(response, 413, "body too large");
        const answer = await handle(body);
        if (answer === undefined) return end(response, 204);
        response.setHeader("content-type", "application/json");
        return end(response, 200, answer);
      })
      .catch(() => response.destroy());
  });

  server.requestTimeout = 30_000;
  // Longer than clients keep idle connections, so that none is closed under a request.
  server.keepAliveTimeout = 65_000;

  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_BODY_BYTES });
  server.on("upgrade", (request, socket, head) => {
    if (!isAllowed(request)) return socket.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n");
    return sockets.handleUpgrade(request, socket, head, (client) => {
      const send = (text: string) => {
        if (client.readyState !== client.OPEN) return;
        if (client.bufferedAmount > MAX_UNSENT_BYTES) return client.terminate();
        client.send(text);
      };
      const subscriptions = createSubscriptions(chain, (notification) => send(JSON.stringify(notification)));
      client.on("message", (data) => {
        void handle(data.toString(), subscriptions).then((answer) => {
          if (answer !== undefined) send(answer);
        });
      });
      client.on("close", () => subscriptions.close());
      client.on("error", () => client.terminate());
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const facts = { host: options.host, port: options.port, reason: cause.code };
      reject(embeddedChainError("EMBEDDED_CHAIN_LISTEN_FAILED", facts, cause));
    });
    server.listen(options.port, options.host, resolve);
  });

  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}

/** @returns the text, or undefined if it is longer than allowed; then the rest is not kept. */
function readBody(request: IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) {
        chunks.push(chunk);
        return;
      }
      // What follows is read and dropped for a while: closing at once would destroy the answer on its way.
      chunks.length = 0;
      resolve(undefined);
      if (bytes > 4 * MAX_BODY_BYTES) request.destroy();
    });
    request.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    request.on("error", reject);
    request.on("close", () => reject(new Error("the client went away")));
  });
}

function end(response: ServerResponse, status: number, body?: string): void {
  response.statusCode = status;
  response.end(body);
}
