/**
 * Learns of new blocks, once for all who wait in this connection: through a WebSocket subscription where there is
 * one, else by polling. Works only while somebody waits. With a subscription it still polls now and then,
 * because a subscription can die without a word.
 */
import type { Clock } from "@hydrogen/std";
import type { Hex } from "viem";
import type { Log } from "./log.ts";
import { type Head, type RpcHead, toHead } from "./rpc.ts";

export type HeadWatch = {
  next(knownHash: Hex | undefined, signal?: AbortSignal): Promise<Head>;
};

/** The answer to `eth_subscribe`, then one notification a block. */
type SubscriptionMessage = { id?: number; error?: unknown; params?: { result?: RpcHead } };

type Waiter = { knownHash: Hex | undefined; resolve: (head: Head) => void };

const subscribedPollMs = 5_000;
const reconnectMs = 1_000;

export function createHeadWatch(
  options: { wsUrl: string | undefined; pollMs: number; head: () => Promise<Head> },
  deps: { clock: Clock; log: Log; signal: AbortSignal },
): HeadWatch {
  const { clock, log, signal } = deps;
  const waiters = new Set<Waiter>();
  let latest: Head | undefined;
  let polling = false;
  let subscription: WebSocket | undefined;
  let subscribed = false;
  let reconnectAtMs = 0;
  let nap = new AbortController();

  const announce = (head: Head) => {
    latest = head;
    for (const waiter of waiters) if (waiter.knownHash !== head.hash) waiter.resolve(head);
  };

  const subscribe = (wsUrl: string) => {
    const socket = new WebSocket(wsUrl);
    subscription = socket;
    socket.onopen = () =>
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] }));
    socket.onmessage = ({ data }) => {
      try {
        const message = JSON.parse(String(data)) as SubscriptionMessage;
        if (message.id === 1) subscribed = message.error === undefined;
        if (message.params?.result !== undefined) announce(toHead(message.params.result));
      } catch (error) {
        log.warn("the head subscription sends what is no block header", { wsUrl, error });
        socket.close();
      }
    };
    socket.onclose = () => {
      if (subscribed) log.debug("head subscription lost, polling until it is back", { wsUrl });
      subscribed = false;
      subscription = undefined;
      reconnectAtMs = clock.nowMs() + reconnectMs;
      nap.abort();
    };
    socket.onerror = () => socket.close();
  };
  signal.addEventListener("abort", () => subscription?.close(), { once: true });

  const poll = async () => {
    if (polling) return;
    polling = true;
    try {
      while (waiters.size > 0 && !signal.aborted) {
        if (options.wsUrl !== undefined && subscription === undefined && clock.nowMs() >= reconnectAtMs)
          subscribe(options.wsUrl);
        const head = await options.head().catch(() => undefined); // an outage is waited through
        if (head !== undefined) announce(head);
        if (waiters.size === 0) break;
        nap = new AbortController();
        const pauseMs = subscribed ? subscribedPollMs : options.pollMs;
        await clock.sleep(pauseMs, AbortSignal.any([signal, nap.signal])).catch(() => undefined);
      }
    } finally {
      polling = false;
    }
  };

  return {
    next(knownHash, waitSignal) {
      if (latest !== undefined && knownHash !== undefined && latest.hash !== knownHash && subscribed)
        return Promise.resolve(latest);
      const { promise, resolve, reject } = Promise.withResolvers<Head>();
      const anySignal = waitSignal === undefined ? signal : AbortSignal.any([signal, waitSignal]);
      if (anySignal.aborted) return Promise.reject(anySignal.reason);
      const waiter: Waiter = { knownHash, resolve };
      const onAbort = () => reject(anySignal.reason);
      anySignal.addEventListener("abort", onAbort, { once: true });
      waiters.add(waiter);
      void poll();
      return promise.finally(() => {
        waiters.delete(waiter);
        anySignal.removeEventListener("abort", onAbort);
      });
    },
  };
}
