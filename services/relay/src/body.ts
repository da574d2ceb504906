/** Request bodies as streams with a limit. */
import { createKeccak } from "@hydrogen/protocol";
import { concatBytes, type Hex } from "@hydrogen/std";
import type { Context } from "hono";
import { relayError } from "./errors.ts";

/** @throws RELAY_BODY_TOO_LARGE as soon as that is known: from Content-Length before anything is read. */
export async function* streamBody(c: Context, maxBytes: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => relayError("RELAY_BODY_TOO_LARGE", { maxBytes });
  if (Number(c.req.header("content-length") ?? 0) > maxBytes) throw tooLarge();
  const { body } = c.req.raw;
  if (body === null) return;
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLarge();
    yield chunk;
  }
}

/** How many bytes of bodies are in memory, over all requests. */
export type BodyBudget = { take(bytes: number): void; give(bytes: number): void };

/** `take` throws RELAY_BUSY when the budget is used up. */
export function createBodyBudget(maxBytes: number): BodyBudget {
  let used = 0;
  return {
    take: (bytes) => {
      if (used + bytes > maxBytes) throw relayError("RELAY_BUSY", { maxBytes });
      used += bytes;
    },
    give: (bytes) => {
      used -= bytes;
    },
  };
}

/** A body in memory, and its keccak256: hashed piece by piece, because megabytes at once would hold up everyone else. */
export type HashedBody = { bytes: Uint8Array<ArrayBuffer>; hash: Hex };

/**
 * Hands over the whole body, counted against the budget until `use` is done.
 * @throws RELAY_BODY_TOO_LARGE, RELAY_BUSY
 */
export async function withBody<T>(
  c: Context,
  maxBytes: number,
  budget: BodyBudget,
  use: (body: HashedBody) => Promise<T>,
): Promise<T> {
  let taken = 0;
  try {
    const hash = createKeccak();
    const chunks: Uint8Array[] = [];
    for await (const chunk of streamBody(c, maxBytes)) {
      budget.take(chunk.length);
      taken += chunk.length;
      hash.update(chunk);
      chunks.push(chunk);
    }
    const bytes = concatBytes(...chunks) as Uint8Array<ArrayBuffer>;
    return await use({ bytes, hash: hash.digest() });
  } finally {
    budget.give(taken);
  }
}
