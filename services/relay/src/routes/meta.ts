/** About the relay itself: is it well, what does it count, what does it speak. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Chain } from "@hydrogen/chain";
import type { Database } from "@hydrogen/storage";
import type { Metrics } from "@hydrogen/telemetry";
import type { RelayEnv } from "../auth.ts";

export type MetaRouteDeps = {
  chain: Chain;
  db: Database;
  metrics: Metrics;
  /** The last block that is followed. */
  position: () => { number: bigint; hash: string } | undefined;
  relayOrigin: () => string;
};

/** Behind by more, the relay says that it is not well. */
const maxLagBlocks = 50;

const healthSchema = z.object({
  status: z.enum(["ok", "degraded"]),
  database: z.boolean(),
  chain: z.object({
    reachable: z.boolean(),
    head_block: z.int().nullable(),
    followed_block: z.int().nullable(),
    followed_hash: z.string().nullable().describe("Of that block, so that a reorganisation shows."),
    lag_blocks: z.int().nullable(),
  }),
});

export function addMetaRoutes(app: OpenAPIHono<RelayEnv>, deps: MetaRouteDeps): void {
  const { chain, db, metrics, position, relayOrigin } = deps;
  const lagGauge = metrics.gauge("relay_chain_lag_blocks", "Blocks between the head and what is followed");

  const health = createRoute({
    method: "get",
    path: "/health",
    summary: "Whether the relay is well",
    responses: {
      200: { description: "It is", content: { "application/json": { schema: healthSchema } } },
      503: { description: "It is not", content: { "application/json": { schema: healthSchema } } },
    },
  });
  /** Looks at the head now; also what the metrics report. */
  const measureLag = async () => {
    const head = await chain.blockNumber().then(Number, () => null);
    const at = position();
    const followed = at === undefined ? null : Number(at.number);
    const lag =
      head === null ? null : Math.max(0, head - (followed ?? Number(chain.addresses.deployedBlock) - 1));
    if (lag !== null) lagGauge.set(lag);
    return { head, at, followed, lag };
  };

  app.openapi(health, async (c) => {
    const { head, at, followed, lag } = await measureLag();
    const database = databaseAnswers(db);
    const well = database && lag !== null && lag <= maxLagBlocks;
    return c.json(
      {
        status: well ? ("ok" as const) : ("degraded" as const),
        database,
        chain: {
          reachable: head !== null,
          head_block: head,
          followed_block: followed,
          followed_hash: at?.hash ?? null,
          lag_blocks: lag,
        },
      },
      well ? 200 : 503,
    );
  });

  app.get("/metrics", async (c) => {
    await measureLag();
    return c.text(metrics.render(), 200, { "Content-Type": "text/plain; version=0.0.4" });
  });

  app.openAPIRegistry.registerComponent("securitySchemes", "Hydrogen", {
    type: "http",
    scheme: "Hydrogen",
    description: "EIP-712 signature of the request; docs/protocol.md §4.",
  });
  app.get("/openapi.json", (c) =>
    c.json(
      app.getOpenAPI31Document({
        openapi: "3.1.0",
        info: {
          title: "Hydrogen relay",
          version: "1",
          description: "Carries task args and results between applications and nodes. Trusted with nothing.",
        },
        servers: [{ url: relayOrigin() }],
      }),
    ),
  );
}

function databaseAnswers(db: Database): boolean {
  try {
    return db.get("SELECT 1 AS one")?.one === 1;
  } catch {
    return false;
  }
}
