/** The network as its contracts have it, for anyone. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Chain } from "@hydrogen/chain";
import { NodeStatus, nameOf } from "@hydrogen/protocol";
import { type Clock, type Hex, nowSec } from "@hydrogen/std";
import type { RelayEnv } from "../auth.ts";
import { createTtlCache } from "../ttl-cache.ts";
import { addressSchema, answers } from "./schemas.ts";

const maxNodes = 100;
/** A page of nodes costs two hundred chain requests and changes little. */
const cachedMs = 2_000;

export function addNetworkRoutes(app: OpenAPIHono<RelayEnv>, deps: { chain: Chain; clock: Clock }): void {
  const { chain, clock } = deps;
  const cached = createTtlCache(cachedMs, { clock });

  const readNode = async (address: Hex) => {
    const [info, balanceWei] = await Promise.all([
      chain.node.getNodeInfo(address),
      chain.token.balanceOf(address),
    ]);
    return {
      address: address.toLowerCase(),
      status: (nameOf(NodeStatus, info.status) ?? "Unknown").toLowerCase(),
      card_model: info.gpu.name,
      v_ram: Number(info.gpu.vram),
      cnx_balance: balanceWei.toString(),
      stake: info.stakeWei.toString(),
      weight: info.weight.toString(),
    };
  };

  const number = createRoute({
    method: "get",
    path: "/v1/network/nodes/number",
    summary: "How many nodes there are",
    responses: answers("Counts", z.object({ all_nodes: z.int(), available_nodes: z.int() }), []),
  });
  app.openapi(number, async (c) => {
    const [all, available] = await cached("number", () =>
      Promise.all([chain.node.totalNodes(), chain.node.availableNodes()]),
    );
    const data = { all_nodes: Number(all), available_nodes: Number(available) };
    return c.json({ message: "success" as const, data }, 200);
  });

  const data = createRoute({
    method: "get",
    path: "/v1/network/nodes/data",
    summary: "The nodes, a page at a time",
    request: {
      query: z.object({
        start: z.coerce
          .number()
          .int()
          .min(0)
          .max(2 ** 32)
          .default(0),
        total: z.coerce.number().int().min(1).max(maxNodes).default(20),
      }),
    },
    responses: answers(
      "Nodes in the contract's order; fewer or none past the last",
      z.array(
        z.object({
          address: addressSchema,
          status: z.string(),
          card_model: z.string(),
          v_ram: z.int().describe("GB."),
          cnx_balance: z.string().describe("Wei; decimal."),
          stake: z.string().describe("Wei; decimal."),
          weight: z.string().describe("Of being selected, relative to the other nodes; decimal."),
        }),
      ),
      [400],
    ),
  });
  app.openapi(data, async (c) => {
    const { start, total } = c.req.valid("query");
    const nodes = await cached(`${start} ${total}`, async () => {
      const addresses = await chain.node.getNodes(BigInt(start), BigInt(total));
      return Promise.all(addresses.map(readNode));
    });
    return c.json({ message: "success" as const, data: nodes }, 200);
  });

  const now = createRoute({
    method: "get",
    path: "/v1/now",
    summary: "The relay's clock",
    responses: answers("Unix seconds", z.object({ now: z.int() }), []),
  });
  app.openapi(now, (c) => c.json({ message: "success" as const, data: { now: nowSec(clock) } }, 200));
}
