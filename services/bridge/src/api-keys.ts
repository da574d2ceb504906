/** Bearer keys with budgets. The bridge keeps only their SHA-256. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { BridgeConfig } from "./config.ts";
import { bridgeError } from "./errors.ts";

export type ApiKey = { readonly name: string; readonly budgetWei: bigint };

/** Finds the key of a request's Authorization header. @throws API_KEY_INVALID */
export type AuthorizeKey = (authorization: string | undefined) => ApiKey;

export function createAuthorizer(keys: BridgeConfig["apiKeys"]): AuthorizeKey {
  const known = keys.map(({ name, sha256, budgetWei }) => ({
    digest: Buffer.from(sha256, "hex"),
    key: { name, budgetWei: BigInt(budgetWei) },
  }));
  return (authorization) => {
    const [, secret] = /^Bearer (\S+)$/.exec(authorization ?? "") ?? [];
    if (secret === undefined) throw bridgeError("API_KEY_INVALID");
    const digest = createHash("sha256").update(secret).digest();
    const found = known.find((candidate) => timingSafeEqual(candidate.digest, digest));
    if (found === undefined) throw bridgeError("API_KEY_INVALID");
    return found.key;
  };
}
