/** Ports of a network: chosen at its first start, kept from then on. */
import { createServer } from "node:net";
import { type Clock, waitFor } from "@hydrogen/std";
import { devnetError } from "./errors.ts";
import { type Layout, readJson, writeFileAtomic } from "./layout.ts";

export type Ports = { chain: number; relay: number; bridge: number; nodes: number[] };

const preferred = { chain: 7400, relay: 7401, bridge: 7402, nodes: 7410 };
/** Parts of a network that was killed let go of their ports within this time. */
const patienceMs = 10_000;

/**
 * The network's ports; at its first start the usual ones where they are free, or any. A network never has fewer nodes
 * than before: their stakes are on chain, and they are drawn for tasks.
 *
 * @throws DEVNET_PORT_IN_USE, DEVNET_FILE_DAMAGED
 */
export async function networkPorts(
  layout: Layout,
  options: { nodes: number; anyPort: boolean },
  deps: { clock: Clock; signal: AbortSignal },
): Promise<Ports> {
  const kept = readJson<Ports>(layout.ports);
  const taken = new Set<number>();
  const choose = async (known: number | undefined, wanted: number): Promise<number> => {
    const port = known ?? (await freePort(options.anyPort ? 0 : wanted, taken));
    taken.add(port);
    if (known !== undefined) await untilFree(port, deps);
    return port;
  };
  const ports: Ports = {
    chain: await choose(kept?.chain, preferred.chain),
    relay: await choose(kept?.relay, preferred.relay),
    bridge: await choose(kept?.bridge, preferred.bridge),
    nodes: [],
  };
  const nodes = Math.max(options.nodes, kept?.nodes.length ?? 0);
  for (let i = 0; i < nodes; i++) ports.nodes.push(await choose(kept?.nodes[i], preferred.nodes + i));
  writeFileAtomic(layout.ports, JSON.stringify(ports));
  return ports;
}

async function untilFree(
  port: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  const giveUpMs = clock.nowMs() + patienceMs;
  const isFree = async () => {
    if ((await tryListen(port)) !== undefined) return true;
    if (clock.nowMs() > giveUpMs) throw devnetError("DEVNET_PORT_IN_USE", { port });
    return false;
  };
  await waitFor(isFree, { clock, signal, intervalMs: 200 });
}

/** `wanted` if nobody listens there, else one the system gives. @throws DEVNET_PORT_IN_USE */
async function freePort(wanted: number, taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const port = await tryListen(tries === 0 ? wanted : 0);
    if (port !== undefined && !taken.has(port)) return port;
  }
  throw devnetError("DEVNET_PORT_IN_USE", { port: wanted });
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
