/** Models, health, metrics, and the description of the API itself. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { BridgeContext } from "../context.ts";
import { envelope, jsonBody, modelSchema } from "./schemas.ts";

const modelsRoute = createRoute({
  method: "get",
  path: "/v1/models/sd",
  summary: "The models that tasks may name as base_model",
  responses: { 200: { description: "Models", content: jsonBody(envelope(z.array(modelSchema))) } },
});

const walletRoute = createRoute({
  method: "get",
  path: "/v1/application/wallet/balance",
  summary: "The wallet that pays for tasks",
  responses: {
    200: {
      description: "Balances in wei, as decimal strings",
      content: jsonBody(
        envelope(z.object({ address: z.string(), cnx_wei: z.string(), native_wei: z.string() })),
      ),
    },
  },
});

const healthRoute = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether the bridge can do its work",
  responses: {
    200: {
      description: "It can",
      content: jsonBody(z.object({ status: z.literal("ok"), block: z.string() })),
    },
    503: {
      description: "The chain does not answer",
      content: jsonBody(z.object({ status: z.literal("chain_unreachable") })),
    },
  },
});

export function addGeneralRoutes(app: OpenAPIHono, context: BridgeContext): void {
  const { chain, sender, models, metrics } = context;

  app.openapi(modelsRoute, (c) => c.json({ message: "success" as const, data: models }, 200));

  app.openapi(walletRoute, async (c) => {
    const [cnxWei, nativeWei] = await Promise.all([
      chain.token.balanceOf(sender.address),
      chain.request({ method: "eth_getBalance", params: [sender.address, "latest"] }),
    ]);
    const data = {
      address: sender.address,
      cnx_wei: cnxWei.toString(),
      native_wei: BigInt(nativeWei).toString(),
    };
    return c.json({ message: "success" as const, data }, 200);
  });

  app.openapi(healthRoute, async (c) => {
    const block = await chain.blockNumber().catch(() => undefined);
    if (block === undefined) return c.json({ status: "chain_unreachable" as const }, 503);
    return c.json({ status: "ok" as const, block: block.toString() }, 200);
  });

  app.get("/metrics", (c) => c.text(metrics.render()));

  app.openAPIRegistry.registerComponent("securitySchemes", "apiKey", { type: "http", scheme: "bearer" });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Hydrogen Network bridge",
      version: "1",
      description: "Images from prompts, verified by three nodes.",
    },
  });
}
