/** The HTTP application: what every request passes, and the routes. */
import { getConnInfo } from "@hono/node-server/conninfo";
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Clock } from "@hydrogen/std";
import type { Logger, Metrics } from "@hydrogen/telemetry";
import type { Context } from "hono";
import { cors } from "hono/cors";
import { routePath } from "hono/route";
import type { RelayEnv } from "./auth.ts";
import type { RelayConfig } from "./config.ts";
import { relayError } from "./errors.ts";
import { answerProblem } from "./problem.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { addMetaRoutes, type MetaRouteDeps } from "./routes/meta.ts";
import { addNetworkRoutes } from "./routes/network.ts";
import { addResultRoutes, type ResultRouteDeps } from "./routes/results.ts";
import { addTaskRoutes, type TaskRouteDeps } from "./routes/tasks.ts";

export type AppDeps = TaskRouteDeps &
  ResultRouteDeps &
  MetaRouteDeps & { log: Logger; clock: Clock; metrics: Metrics };

const latencyBuckets = [0.005, 0.02, 0.1, 0.5, 2, 10];

export function createApp(config: RelayConfig, deps: AppDeps): OpenAPIHono<RelayEnv> {
  const { log, clock, metrics } = deps;
  const requests = metrics.counter("relay_requests_total", "Answered requests");
  const seconds = metrics.histogram("relay_request_seconds", "Time to answer a request", latencyBuckets);
  const perIp = createRateLimiter(config.limits.perIp, { clock });

  const app = new OpenAPIHono<RelayEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const [issue] = result.error.issues;
      throw relayError("RELAY_REQUEST_INVALID", { field: issue?.path.join("."), reason: issue?.message });
    },
  });

  app.use(async (c, next) => {
    const startedMs = clock.nowMs();
    await next();
    const labels = { method: c.req.method, route: routePath(c, -1) };
    requests.inc({ ...labels, status: String(c.res.status) });
    seconds.observe((clock.nowMs() - startedMs) / 1000, labels);
  });
  app.use(
    cors({
      origin: config.corsOrigins.includes("*") ? "*" : config.corsOrigins,
      allowMethods: ["GET", "POST"],
      allowHeaders: ["Authorization", "Content-Type"],
      exposeHeaders: ["ETag", "Content-Digest", "Hydrogen-Files-Digest", "Retry-After"],
      maxAge: 600,
    }),
  );
  app.use(async (c, next) => {
    c.header("X-Content-Type-Options", "nosniff");
    const retryAfterSec = perIp.take(clientIp(c, config.trustProxy));
    if (retryAfterSec > 0) throw relayError("RELAY_RATE_LIMITED", { retryAfterSec });
    await next();
  });
  app.onError((error, c) => answerProblem(error, c, { log, clock }));
  app.notFound((c) => answerProblem(relayError("RELAY_ROUTE_NOT_FOUND"), c, { log, clock }));

  addTaskRoutes(app, deps);
  addResultRoutes(app, deps);
  addNetworkRoutes(app, deps);
  addMetaRoutes(app, deps);
  return app;
}

function clientIp(c: Context, trustProxy: boolean): string {
  const forwarded = trustProxy ? c.req.header("x-forwarded-for")?.split(",").at(-1)?.trim() : undefined;
  return forwarded ?? getConnInfo(c).remote.address ?? "unknown";
}
