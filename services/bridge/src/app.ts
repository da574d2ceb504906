/** The HTTP application: routes, body limit, CORS, and errors as RFC 9457 problem details. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { errorSummary, type HydrogenError, isHydrogenError } from "@hydrogen/std";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import type { BridgeContext } from "./context.ts";
import { bridgeError, statusOf } from "./errors.ts";
import { addGeneralRoutes } from "./routes/general.ts";
import { addTaskRoutes } from "./routes/tasks.ts";

export function createApp(context: BridgeContext): OpenAPIHono {
  const { config, log } = context;
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (result.success) return;
      const issue = result.error.issues[0]!;
      throw bridgeError("REQUEST_INVALID", { field: issue.path.join("."), problem: issue.message });
    },
  });
  if (config.corsOrigins.length > 0)
    app.use(
      cors({
        origin: config.corsOrigins,
        allowHeaders: ["authorization", "content-type", "idempotency-key"],
      }),
    );
  app.use(
    bodyLimit({
      maxSize: config.maxBodyBytes,
      onError: () => {
        throw bridgeError("BODY_TOO_LARGE", { maxBytes: config.maxBodyBytes });
      },
    }),
  );
  addTaskRoutes(app, context);
  addGeneralRoutes(app, context);
  app.notFound((c) => problem(bridgeError("ROUTE_NOT_FOUND", { path: c.req.path })));
  app.onError((error, c) => {
    if (isHydrogenError(error)) {
      if (statusOf(error) >= 500)
        log.warn("request failed", { method: c.req.method, path: c.req.path, error });
      return problem(error);
    }
    if (error instanceof SyntaxError || ("status" in error && error.status === 400))
      return problem(bridgeError("REQUEST_INVALID", { problem: errorSummary(error) }));
    log.error("request failed", { method: c.req.method, path: c.req.path, error });
    return problem(bridgeError("INTERNAL"));
  });
  return app;
}

function problem(error: HydrogenError): Response {
  const status = statusOf(error);
  const { code, message, ...rest } = error.toJSON();
  const body = { type: "about:blank", title: code, status, code, detail: message, ...rest };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
}
