/** Errors as RFC 9457 problem details. */

import { z } from "@hono/zod-openapi";
import { type Clock, type HydrogenError, isHydrogenError, nowSec } from "@hydrogen/std";
import type { Logger } from "@hydrogen/telemetry";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { httpStatus, relayError } from "./errors.ts";
import { chainUnavailable } from "./tasks.ts";

export const problemSchema = z
  .object({
    type: z.literal("about:blank"),
    title: z.string().describe("What the status means."),
    status: z.int(),
    detail: z.string().describe("The message, with the facts."),
    code: z.string().describe("Stable; see docs/errors.md."),
    retryable: z.boolean().describe("Whether the same request may succeed later."),
    hint: z.string().optional(),
    failureClass: z.string().optional(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  })
  .openapi("Problem");

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  503: "Service Unavailable",
  507: "Insufficient Storage",
};

/** Answers with any error. What is the relay's own trouble is logged, and its cause is not told. */
export function answerProblem(thrown: unknown, c: Context, deps: { log: Logger; clock: Clock }): Response {
  const error = publicError(thrown);
  const status = httpStatus(error.code) ?? 500;
  if (status >= 500)
    deps.log.error("request failed", { method: c.req.method, path: c.req.path, error: thrown });
  const { message, ...rest } = error.toJSON();
  // Signed timestamps fail in puzzling ways on a machine with a wrong clock: tell the time at once.
  if (status === 401) rest.facts = { ...rest.facts, relayTimeSec: nowSec(deps.clock) };
  if (status === 401) c.header("WWW-Authenticate", "Hydrogen");
  if (status === 429) c.header("Retry-After", String(Math.ceil(Number(error.facts.retryAfterSec ?? 1))));
  const problem = {
    type: "about:blank",
    title: titles[status] ?? "Internal Server Error",
    status,
    detail: message,
    ...rest,
  } satisfies z.input<typeof problemSchema>;
  c.header("Cache-Control", "no-store");
  return c.body(JSON.stringify(problem), status as ContentfulStatusCode, {
    "Content-Type": "application/problem+json",
  });
}

function publicError(thrown: unknown): HydrogenError {
  const error = chainUnavailable(thrown);
  if (error instanceof HTTPException) {
    return error.status === 415
      ? relayError("RELAY_MEDIA_TYPE_UNSUPPORTED")
      : relayError("RELAY_REQUEST_INVALID", { reason: error.message });
  }
  if (isHydrogenError(error, "STORAGE_WRITE_FAILED"))
    return relayError("RELAY_STORAGE_UNAVAILABLE", {}, error);
  if (isHydrogenError(error) && httpStatus(error.code) !== undefined) return error;
  return relayError("RELAY_INTERNAL", {}, error);
}
