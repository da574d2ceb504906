/** Where models may come from. Asked before every request, every hop of a redirect included. */
import { isIP } from "node:net";
import { modelError } from "../errors.ts";
import { withoutSecrets } from "../ref.ts";
import { isPublicAddress } from "./addresses.ts";

export type Policy = {
  /** @throws MODEL_HOST_REFUSED; MODEL_ADDRESS_REFUSED for a literal address */
  check(url: URL): void;
  /** Whether private addresses and plain http are fine: an origin that the operator named. */
  trusts(url: URL): boolean;
};

export type PolicyOptions = {
  /** `host`, `*.domain` for everything below a domain, either with `:port`; `*` for every public host. */
  allowedHosts: readonly string[];
  /** `scheme://host:port`. */
  trustedOrigins: readonly string[];
};

/** Hugging Face, Civitai, and where they keep their files. */
export const defaultAllowedHosts: readonly string[] = [
  "huggingface.co",
  "*.huggingface.co",
  "*.hf.co",
  "civitai.com",
  "*.civitai.com",
  "civitai.red",
  "*.civitai.red",
  // Civitai's bucket: the account is part of the host's name, so nobody else's bucket is meant.
  "*.5ac0637cfd0766c97916cefa3764fbdf.r2.cloudflarestorage.com",
];

export function createPolicy({ allowedHosts, trustedOrigins }: PolicyOptions): Policy {
  const trusted = new Set(trustedOrigins.map((origin) => new URL(origin).origin));
  const patterns = allowedHosts.map((pattern) => pattern.toLowerCase());
  return {
    trusts: (url) => trusted.has(url.origin),
    check: (url) => {
      const facts = { url: withoutSecrets(url) };
      if (url.username !== "" || url.password !== "")
        throw modelError("MODEL_HOST_REFUSED", { ...facts, reason: "carries a password" });
      if (trusted.has(url.origin)) return;
      if (url.protocol !== "https:")
        throw modelError("MODEL_HOST_REFUSED", { ...facts, reason: "not https" });
      const literal = url.hostname.replace(/^\[|\]$/g, "");
      if (isIP(literal) !== 0 && !isPublicAddress(literal)) throw modelError("MODEL_ADDRESS_REFUSED", facts);
      if (!patterns.some((pattern) => matches(pattern, url)))
        throw modelError("MODEL_HOST_REFUSED", { ...facts, reason: "not on the list of allowed hosts" });
    },
  };
}

function matches(pattern: string, url: URL): boolean {
  const [, host = "", port = ""] = /^(.*?)(?::(\d+))?$/.exec(pattern) ?? [];
  // A trailing dot names the same host; it is not on any list and stays refused.
  if (url.port !== port) return false;
  if (host === "*") return true;
  if (host.startsWith("*.")) return url.hostname.endsWith(host.slice(1));
  return url.hostname === host;
}
