/** Request bodies as streams with a limit. */
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

/** The whole body. @throws RELAY_BODY_TOO_LARGE */
export async function readBody(c: Context, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of streamBody(c, maxBytes)) chunks.push(chunk);
  const size = chunks.reduce((total, chunk) => total + chunk.length, 0);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
