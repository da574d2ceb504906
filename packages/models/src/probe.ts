/** Asks a server about a file by fetching its first bytes: signed addresses often answer nothing but GET. */
import { modelError } from "./errors.ts";
import { failureOf, type HttpClient, type HttpResponse } from "./net/http.ts";

export type Probe = {
  sizeBytes: number;
  sha256?: string;
  gitOid?: string;
  validator?: string;
  /** The file's first bytes, up to 16. */
  head: Buffer;
  /** As the server names it. */
  fileName?: string;
};

const headBytes = 16;

/** @throws as HttpClient.get; MODEL_NOT_FOUND, MODEL_ACCESS_DENIED, MODEL_UNREACHABLE, MODEL_SERVER_INVALID */
export async function probe(
  http: HttpClient,
  url: URL,
  { token, signal }: { token?: string | undefined; signal?: AbortSignal | undefined },
): Promise<Probe> {
  const response = await http.get(url, { headers: { range: `bytes=0-${headBytes - 1}` }, token, signal });
  const { status, headers, hops, shown, body } = response;
  if (status === 416) {
    body.destroy();
    return { sizeBytes: 0, head: Buffer.alloc(0) };
  }
  if (status !== 200 && status !== 206) throw failureOf(response);
  // A login page is what a site without a token shows instead of a file.
  if (/^text\/html/.test(headers["content-type"] ?? "")) {
    body.destroy();
    throw modelError("MODEL_ACCESS_DENIED", { url: shown, reason: "a web page came instead of a file" });
  }
  const linked = (name: string) => hops.map((hop) => hop[name]).find((value) => typeof value === "string");
  // Only the Hub says that its ETags are hashes: SHA-256 of large files, the Git object's of small ones.
  const sha256 = unquote(linked("x-linked-etag"));
  const gitOid = unquote(hops[0]?.etag);
  const sizeBytes = Number(linked("x-linked-size") ?? totalOf(response));
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    body.destroy();
    throw modelError("MODEL_SERVER_INVALID", { url: shown, reason: "does not say how long the file is" });
  }
  const validator = validatorOf(headers);
  const fileName = /filename="?([^";]+)/.exec(headers["content-disposition"] ?? "")?.[1];
  return {
    sizeBytes,
    head: await readHead(response, signal),
    ...(sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256) ? { sha256 } : {}),
    ...(gitOid !== undefined && /^[0-9a-f]{40}$/.test(gitOid) ? { gitOid } : {}),
    ...(validator === undefined ? {} : { validator }),
    ...(fileName === undefined ? {} : { fileName: fileName.slice(0, 150) }),
  };
}

/** A strong ETag, else the date: what If-Range accepts (RFC 9110 §13.1.5). */
export function validatorOf(headers: HttpResponse["headers"]): string | undefined {
  return headers.etag?.startsWith('"') ? headers.etag : headers["last-modified"];
}

/** The whole file's length, of a 200 or 206. */
export function totalOf({ status, headers }: Pick<HttpResponse, "status" | "headers">): number | undefined {
  const text =
    status === 206 ? /\/(\d+)$/.exec(headers["content-range"] ?? "")?.[1] : headers["content-length"];
  return text === undefined ? undefined : Number(text);
}

async function readHead({ body, shown }: HttpResponse, signal: AbortSignal | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= headBytes) break;
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw modelError("MODEL_UNREACHABLE", { url: shown }, cause);
  } finally {
    body.destroy();
  }
  return Buffer.concat(chunks).subarray(0, headBytes);
}

function unquote(etag: string | string[] | undefined): string | undefined {
  return typeof etag === "string" ? etag.replace(/^(W\/)?"?|"$/g, "") : undefined;
}
