/**
 * Who sent a request: the Hydrogen scheme (EIP-712 in the Authorization header) is checked before a byte of the body is
 * read, the seeds' scheme as soon as its fields are there.
 */
import { keccak256, recoverSeedsSigners, type SeedsParams, verifyAuthorization } from "@hydrogen/protocol";
import { type Clock, type Hex, nowSec } from "@hydrogen/std";
import type { Context, MiddlewareHandler } from "hono";
import { type BodyBudget, withBody } from "./body.ts";
import type { RelayConfig } from "./config.ts";
import { relayError } from "./errors.ts";
import type { Nonces } from "./nonces.ts";
import type { RateLimiter } from "./rate-limit.ts";

/** Lower-case addresses, one of which signed: the seeds' scheme can leave several to choose from. */
export type Signers = readonly Hex[];

export type Identity = {
  signers: Signers;
  /** What the body must hash to; undefined where the signature does not cover the body's bytes. */
  bodyHash?: Hex;
};

export type Authenticator = {
  /**
   * Undefined without an Authorization header.
   * @throws AUTHORIZATION_MALFORMED, SIGNATURE_EXPIRED, SIGNATURE_INVALID, RELAY_NONCE_USED, RELAY_RATE_LIMITED
   */
  fromHeader(c: Context): Identity | undefined;
  /** @throws RELAY_SIGNATURE_MISSING, SIGNATURE_EXPIRED, SIGNATURE_INVALID, RELAY_RATE_LIMITED */
  fromSeeds(params: SeedsParams, timestamp: string | undefined, signature: string | undefined): Identity;
};

export function createAuthenticator(
  config: Pick<RelayConfig, "addresses" | "seedsSignatures">,
  deps: { relayOrigin: () => string; nonces: Nonces; perAddress: RateLimiter; clock: Clock },
): Authenticator {
  const { relayOrigin, nonces, perAddress, clock } = deps;
  const { chainId, task } = config.addresses;
  const allow = (address: Hex) => {
    const retryAfterSec = perAddress.take(address);
    if (retryAfterSec > 0) throw relayError("RELAY_RATE_LIMITED", { address, retryAfterSec });
  };
  return {
    fromHeader: (c) => {
      const header = c.req.header("authorization");
      if (header === undefined) return undefined;
      const { pathname, search } = new URL(c.req.url);
      const request = { relay: relayOrigin(), method: c.req.method, path: pathname + search };
      const time = nowSec(clock);
      const domain = { chainId, verifyingContract: task };
      const { address, nonce, expirySec, bodyHash } = verifyAuthorization(header, domain, request, time);
      const signer = address.toLowerCase() as Hex;
      allow(signer);
      if (!nonces.take(signer, nonce, expirySec, time)) throw relayError("RELAY_NONCE_USED", { nonce });
      return { signers: [signer], bodyHash };
    },
    fromSeeds: (params, timestamp, signature) => {
      if (!config.seedsSignatures || timestamp === undefined || signature === undefined) {
        throw relayError("RELAY_SIGNATURE_MISSING");
      }
      const recovered = recoverSeedsSigners(params, Number(timestamp), signature, nowSec(clock));
      const signers = recovered.map((address) => address.toLowerCase() as Hex);
      allow(signers[0]!);
      return { signers };
    },
  };
}

export type RelayEnv = { Variables: { signers: Signers } };

/** For requests without a body. `params` are what the seeds' scheme signs. */
export function signed(
  auth: Authenticator,
  params: (c: Context) => SeedsParams,
): MiddlewareHandler<RelayEnv> {
  const emptyHash = keccak256(new Uint8Array());
  return async (c, next) => {
    const identity =
      auth.fromHeader(c) ?? auth.fromSeeds(params(c), c.req.query("timestamp"), c.req.query("signature"));
    if (identity.bodyHash !== undefined && identity.bodyHash !== emptyHash) {
      throw relayError("RELAY_BODY_MISMATCH");
    }
    c.set("signers", identity.signers);
    await next();
  };
}

/** For JSON bodies, which are read after the header was checked and only up to the limit. */
export function signedJson(
  auth: Authenticator,
  { maxBytes, budget }: { maxBytes: number; budget: BodyBudget },
  pathParams: (c: Context) => SeedsParams = () => ({}),
): MiddlewareHandler<RelayEnv> {
  return async (c, next) => {
    const identity = auth.fromHeader(c);
    await withBody(c, maxBytes, budget, async ({ bytes, hash }) => {
      // Validators read the body through this cache, which holds promises whatever its type says.
      Object.assign(c.req.bodyCache, { arrayBuffer: Promise.resolve(bytes.buffer) });
      if (identity === undefined) {
        const { timestamp, signature, ...params } = jsonObject(bytes);
        const signed = { ...params, ...pathParams(c) } as SeedsParams;
        c.set("signers", auth.fromSeeds(signed, optionalText(timestamp), optionalText(signature)).signers);
      } else {
        if (hash !== identity.bodyHash) throw relayError("RELAY_BODY_MISMATCH");
        c.set("signers", identity.signers);
      }
      await next();
    });
  };
}

/** The one of the signers that may, @throws RELAY_SIGNER_NOT_ALLOWED */
export function requireSigner(signers: Signers, may: (signer: Hex) => boolean): Hex {
  const signer = signers.find(may);
  if (signer === undefined) throw relayError("RELAY_SIGNER_NOT_ALLOWED", { signer: signers[0] });
  return signer;
}

function optionalText(value: unknown): string | undefined {
  return value === undefined ? undefined : String(value);
}

function jsonObject(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {}
  throw relayError("RELAY_REQUEST_INVALID", { reason: "the body is not a JSON object" });
}
