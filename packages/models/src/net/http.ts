/**
 * GET over HTTP(S) for addresses that strangers choose. Every hop is checked against the policy; the host's name is
 * resolved once and the connection goes to exactly the address that was checked, so a name that changes its meaning in
 * between gains nothing. Tokens stay with the origin they belong to. Built on node:https because fetch has no say in
 * the address it connects to.
 *
 * Behind a proxy the proxy resolves names; what protects then is the list of hosts, not the check of addresses.
 */
import { lookup as systemLookup } from "node:dns/promises";
import http, { type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import { isHydrogenError } from "@hydrogen/std";
import { modelError } from "../errors.ts";
import { withoutSecrets } from "../ref.ts";
import { isPublicAddress } from "./addresses.ts";
import type { Policy } from "./policy.ts";

export type Lookup = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

/** `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, as in the environment; lower case counts too. */
export type ProxySettings = Readonly<Record<string, string | undefined>>;

export type HttpOptions = {
  policy: Policy;
  proxy: ProxySettings;
  userAgent: string;
  /** How long a connection may stay silent. */
  idleTimeoutMs: number;
  lookup?: Lookup | undefined;
};

export type GetOptions = {
  headers?: Record<string, string>;
  /** Sent as bearer, only to the origin of the first address and until a redirect leaves it. */
  token?: string | undefined;
  signal?: AbortSignal | undefined;
};

export type HttpResponse = {
  status: number;
  headers: IncomingHttpHeaders;
  /** Of the redirects that led here, first to last, and this response's last. */
  hops: readonly IncomingHttpHeaders[];
  /** What was asked for, safe to show. */
  shown: string;
  body: IncomingMessage;
};

export type HttpClient = {
  /**
   * Follows redirects. The body is not decoded and must be read or destroyed.
   * @throws MODEL_HOST_REFUSED, MODEL_ADDRESS_REFUSED, MODEL_UNREACHABLE, MODEL_SERVER_INVALID; the signal's reason
   */
  get(url: URL, options?: GetOptions): Promise<HttpResponse>;
  close(): void;
};

const maxRedirects = 8;
const redirects = new Set([301, 302, 303, 307, 308]);

export function createHttpClient(options: HttpOptions): HttpClient {
  const { policy, userAgent, idleTimeoutMs, lookup = defaultLookup } = options;
  const proxyEnv = proxyEnvOf(options.proxy);
  const proxyHosts = new Set(
    Object.values(proxyEnv)
      .filter((value) => URL.canParse(value))
      .map((value) => new URL(value).hostname),
  );
  const agentOptions = { keepAlive: true, maxSockets: 16, proxyEnv };
  const agents = { "http:": new http.Agent(agentOptions), "https:": new https.Agent(agentOptions) };

  const lookupFor = (url: URL): LookupFunction => {
    const trusted = policy.trusts(url);
    return (hostname, { all }, done) => {
      const safe = trusted || proxyHosts.has(hostname);
      lookup(hostname).then(
        (found) => {
          const usable = safe ? found : found.filter(({ address }) => isPublicAddress(address));
          const first = usable[0];
          if (first === undefined) done(modelError("MODEL_ADDRESS_REFUSED", { host: hostname }), "", 0);
          else if (all) done(null, [...usable]);
          else done(null, first.address, first.family);
        },
        (error: Error) => done(error as NodeJS.ErrnoException, "", 0),
      );
    };
  };

  const request = (url: URL, headers: Record<string, string>, signal: AbortSignal | undefined) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const module = url.protocol === "https:" ? https : http;
      const sent = module.get(url, {
        agent: agents[url.protocol as keyof typeof agents],
        headers: { "user-agent": userAgent, accept: "*/*", "accept-encoding": "identity", ...headers },
        lookup: lookupFor(url),
        ...(signal ? { signal } : {}),
      });
      sent.setTimeout(idleTimeoutMs, () =>
        sent.destroy(new Error(`silent for ${Math.round(idleTimeoutMs / 1000)} s`)),
      );
      sent.once("response", resolve).on("error", reject);
    });

  return {
    get: async (start, { headers = {}, token, signal } = {}) => {
      const hops: IncomingHttpHeaders[] = [];
      const shown = withoutSecrets(start);
      let url = start;
      let atHome = true;
      for (;;) {
        signal?.throwIfAborted();
        policy.check(url);
        atHome &&= url.origin === start.origin;
        const authorization = atHome && token !== undefined ? { authorization: `Bearer ${token}` } : {};
        let response: IncomingMessage;
        try {
          response = await request(url, { ...headers, ...authorization }, signal);
        } catch (cause) {
          signal?.throwIfAborted();
          if (isHydrogenError(cause)) throw cause;
          throw modelError("MODEL_UNREACHABLE", { url: withoutSecrets(url) }, withoutPasswords(cause));
        }
        hops.push(response.headers);
        const status = response.statusCode ?? 0;
        if (!redirects.has(status)) return { status, headers: response.headers, hops, shown, body: response };
        // A short body is read to its end, so that the connection can be used again; nobody waits for a long one.
        const { location, "content-length": length } = response.headers;
        if (Number(length ?? Number.NaN) <= 65_536) response.resume();
        else response.destroy();
        if (location === undefined || !URL.canParse(location, url) || hops.length > maxRedirects)
          throw modelError("MODEL_SERVER_INVALID", { url: withoutSecrets(url), reason: "redirect", status });
        url = new URL(location, url);
      }
    },
    close: () => {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

/**
 * Reads a small body whole.
 * @throws MODEL_SERVER_INVALID if it is longer than `maxBytes`; MODEL_UNREACHABLE if it breaks off
 */
export async function readBody(
  { body, shown }: HttpResponse,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw modelError("MODEL_SERVER_INVALID", { url: shown, reason: "too long" });
      chunks.push(chunk);
    }
  } catch (cause) {
    signal?.throwIfAborted();
    if (isHydrogenError(cause)) throw cause;
    throw modelError("MODEL_UNREACHABLE", { url: shown }, cause);
  }
  return Buffer.concat(chunks);
}

/** The error that a response's status stands for; the body is dropped. Call it for whatever is not a success. */
export function failureOf({ status, headers, shown, body }: HttpResponse) {
  body.destroy();
  const reason = headers["x-error-code"];
  const facts = {
    url: shown,
    status,
    ...(typeof reason === "string" ? { reason: reason.slice(0, 80) } : {}),
  };
  if (status === 401 || status === 403) return modelError("MODEL_ACCESS_DENIED", facts);
  if (status === 404 || status === 410 || status === 451) return modelError("MODEL_NOT_FOUND", facts);
  if (status === 408 || status === 429 || status >= 500) {
    const seconds = Number(headers["retry-after"]);
    return modelError("MODEL_UNREACHABLE", {
      ...facts,
      ...(seconds > 0 ? { retryAfterSec: Math.min(seconds, 60) } : {}),
    });
  }
  return modelError("MODEL_SERVER_INVALID", facts);
}

/** Node.js names the proxy in its messages, with the password that its address may hold. */
function withoutPasswords(cause: unknown): unknown {
  if (!(cause instanceof Error) || !/\/\/[^/\s]*@/.test(cause.message)) return cause;
  return new Error(cause.message.replace(/\/\/[^/\s]*@/g, "//"));
}

const defaultLookup: Lookup = (hostname) => systemLookup(hostname, { all: true });

function proxyEnvOf(settings: ProxySettings): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]) {
    const value = settings[name.toLowerCase()] ?? settings[name];
    if (value !== undefined && value !== "") found[name] = value;
  }
  return found;
}
