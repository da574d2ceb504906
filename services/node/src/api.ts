/**
 * The node's local HTTP API. Reading is free for whoever reaches it; commands need the bearer token that lies in the
 * data directory. No CORS headers and a check of the Host header keep web pages of the operator's browser out.
 */
import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { HydrogenError } from "@hydrogen/std";
import type { Logger, Metrics } from "@hydrogen/telemetry";
import { readOrCreateApiToken } from "./api-token.ts";
import { nodeError } from "./errors.ts";

export type NodeCommand = "pause" | "resume" | "quit";

export type ApiOptions = { host: string; port: number; tokenPath: string };

export type ApiDeps = {
  log: Logger;
  metrics: Metrics;
  /** What `/v1/status` answers. */
  status: () => unknown;
  /** Whether the node sees the chain. */
  healthy: () => boolean;
  /** Resolves when the command is accepted and kept; carrying it out may take a task's time. */
  command: (command: NodeCommand) => Promise<void>;
};

export type Api = { readonly url: string; close(): Promise<void> };

const commands: readonly string[] = ["pause", "resume", "quit"] satisfies NodeCommand[];

/** @throws NODE_LISTEN_FAILED */
export async function startApi(options: ApiOptions, deps: ApiDeps): Promise<Api> {
  const token = Buffer.from(readOrCreateApiToken(options.tokenPath));
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? "/", "http://node").pathname;
    if (!isOwnHost(request.headers.host, options.host)) return problem(response, 403, "FORBIDDEN_HOST");
    if (request.method === "GET") {
      if (path === "/health")
        return json(response, deps.healthy() ? 200 : 503, { status: deps.healthy() ? "ok" : "no chain" });
      if (path === "/metrics") return text(response, deps.metrics.render());
      if (path === "/v1/status") return json(response, 200, { message: "success", data: deps.status() });
      return problem(response, 404, "NOT_FOUND");
    }
    const command = /^\/v1\/([a-z]+)$/.exec(path)?.[1];
    if (request.method !== "POST" || command === undefined || !commands.includes(command))
      return problem(response, 404, "NOT_FOUND");
    if (!isAuthorised(request.headers.authorization, token)) return problem(response, 401, "UNAUTHORISED");
    await deps.command(command as NodeCommand);
    json(response, 202, { message: "success", data: deps.status() });
  };
  const server = createServer((request, response) => {
    request.resume();
    handle(request, response).catch((error) => {
      deps.log.warn("the local API failed", { error });
      problem(response, 500, error instanceof HydrogenError ? error.code : "INTERNAL");
    });
  });
  await new Promise<void>((resolve, reject) => {
    const { host, port } = options;
    server.once("error", (cause) => reject(nodeError("NODE_LISTEN_FAILED", { host, port }, cause)));
    server.listen(port, host, () => resolve());
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function isAuthorised(header: string | undefined, token: Buffer): boolean {
  const given = Buffer.from(/^Bearer (.+)$/.exec(header ?? "")?.[1] ?? "");
  return given.length === token.length && timingSafeEqual(given, token);
}

/** A page that rebinds its name to 127.0.0.1 still sends its own name as Host. */
function isOwnHost(header: string | undefined, host: string): boolean {
  const name = (header ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return name === host || ["localhost", "127.0.0.1", "::1"].includes(name) || !isLoopback(host);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body, (_key, value) => (typeof value === "bigint" ? value.toString() : value)));
}

function text(response: ServerResponse, body: string): void {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  response.end(body);
}

function problem(response: ServerResponse, status: number, code: string): void {
  if (response.headersSent) return void response.end();
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ type: "about:blank", title: code, status, code }));
}
