/** Ports of a network: chosen at its first start, kept from then on. */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { type Layout, writeFileAtomic } from "./layout.ts";

export type Ports = { chain: number; relay: number; bridge: number; nodes: number[] };

const preferred = { chain: 7400, relay: 7401, bridge: 7402, nodes: 7410 };

/** The network's ports; at its first start the usual ones where they are free, or any. */
export async function networkPorts(layout: Layout, nodes: number, anyPort: boolean): Promise<Ports> {
  const kept = existsSync(layout.ports)
    ? (JSON.parse(readFileSync(layout.ports, "utf8")) as Ports)
    : undefined;
  const taken = new Set<number>();
  const choose = async (known: number | undefined, wanted: number): Promise<number> => {
    const port = known ?? (await freePort(anyPort ? 0 : wanted, taken));
    taken.add(port);
    return port;
  };
  const ports: Ports = {
    chain: await choose(kept?.chain, preferred.chain),
    relay: await choose(kept?.relay, preferred.relay),
    bridge: await choose(kept?.bridge, preferred.bridge),
    nodes: [],
  };
  for (let i = 0; i < nodes; i++) ports.nodes.push(await choose(kept?.nodes[i], preferred.nodes + i));
  writeFileAtomic(layout.ports, JSON.stringify(ports));
  return ports;
}

/** `wanted` if nobody listens there, else one the system gives. */
async function freePort(wanted: number, taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const port = await tryListen(tries === 0 ? wanted : 0);
    if (port !== undefined && !taken.has(port)) return port;
  }
  throw new Error("the system gives no free port");
}

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}
