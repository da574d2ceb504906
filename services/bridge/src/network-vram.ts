/** What the network's nodes can hold, so that nobody pays for a task that cannot be drawn. */
import type { Chain } from "@hydrogen/chain";
import { roundsPerTask } from "@hydrogen/protocol";
import type { Clock } from "@hydrogen/std";

/** Whether three nodes have joined that hold tasks of this `vramLimit`, in GB, and what the third largest has. */
export type HoldsVram = (limitGb: number) => Promise<{ holds: boolean; offeredGb: number }>;

const lifetimeMs = 60_000;
const pageSize = 100n;

/** Asks the chain at most once a minute, and again before it says no. */
export function createVramView(chain: Chain, clock: Clock): HoldsVram {
  let offeredGb = 0;
  let untilMs = 0;
  let reading: Promise<void> | undefined;
  const refresh = () => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  async function read(): Promise<void> {
    const sizesGb: number[] = [];
    for (let offset = 0n; ; offset += pageSize) {
      const page = await chain.node.getNodes(offset, pageSize);
      const infos = await Promise.all(page.map((node) => chain.node.getNodeInfo(node)));
      sizesGb.push(...infos.map(({ gpu }) => Number(gpu.vram)));
      if (page.length < pageSize) break;
    }
    offeredGb = sizesGb.sort((a, b) => b - a)[roundsPerTask - 1] ?? 0;
    untilMs = clock.nowMs() + lifetimeMs;
  }
  return async (limitGb) => {
    if (limitGb > offeredGb || clock.nowMs() >= untilMs) await refresh();
    return { holds: limitGb <= offeredGb, offeredGb };
  };
}
