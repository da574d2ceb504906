/**
 * A Hugging Face Hub and a file host on two origins of this machine, with what a downloader depends on: listings with
 * blobs, redirects of large files with X-Linked headers, ranges, ETags, If-Range, gated models, and faults on demand.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Repo = {
  files: Record<string, Buffer | string>;
  /** Needed as bearer. */
  token?: string;
  tags?: string[];
  /** As a mirror that knows only names. */
  bare?: boolean;
};

/** Answers the request itself by returning true. `range` is what was asked of `body`. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  found: { body: Buffer; start: number; end: number },
) => boolean | Promise<boolean>;

export type TestHub = {
  origin: string;
  filesOrigin: string;
  repos: Map<string, Repo>;
  /** On the file host, by path. */
  loose: Map<string, { body: Buffer; headers?: Record<string, string> }>;
  requests: { host: "hub" | "files"; url: string; headers: IncomingMessage["headers"] }[];
  /** So many listings are refused with 503. */
  refusals: number;
  /** Asked before a file is sent. */
  fault: Fault | undefined;
  close(): Promise<void>;
};

const sha = (algorithm: string, ...parts: (string | Buffer)[]): string => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
export const sha256 = (content: string | Buffer): string => sha("sha256", content);
export const commitOf = (repo: Repo): string => sha("sha1", ...Object.entries(repo.files).flat());

/** A real safetensors file of about so many bytes, different for each seed. */
export function safetensors(bytes: number, seed = 1, name = "weight"): Buffer {
  const header = JSON.stringify({ [name]: { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] } });
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at++) data[at] = (at * 31 + (at >> 8) * 7 + seed * 101) & 255;
  return Buffer.concat([head, Buffer.from(header), data]);
}

/** A pipeline as diffusers lays it out, small. */
export function pipelineFiles(weights: Buffer = safetensors(1_000)): Repo["files"] {
  return {
    "README.md": "about",
    "model_index.json": JSON.stringify({
      _class_name: "StableDiffusionPipeline",
      scheduler: ["diffusers", "PNDMScheduler"],
      text_encoder: ["transformers", "CLIPTextModel"],
      tokenizer: ["transformers", "CLIPTokenizer"],
      unet: ["diffusers", "UNet2DConditionModel"],
      vae: ["diffusers", "AutoencoderKL"],
    }),
    "scheduler/scheduler_config.json": `{"_class_name":"PNDMScheduler"}`,
    "text_encoder/config.json": "{}",
    "text_encoder/model.safetensors": safetensors(500, 2),
    "tokenizer/merges.txt": "#version: 0.2\n",
    "tokenizer/vocab.json": "{}",
    "unet/config.json": `{"sample_size":8}`,
    "unet/diffusion_pytorch_model.bin": "pickle",
    "unet/diffusion_pytorch_model.safetensors": weights,
    "vae/config.json": "{}",
    "vae/diffusion_pytorch_model.safetensors": safetensors(300, 3),
  };
}

export async function startHub(): Promise<TestHub> {
  const repos = new Map<string, Repo>();
  const blobs = new Map<string, Buffer>();
  const hub: TestHub = {
    origin: "",
    filesOrigin: "",
    repos,
    loose: new Map(),
    requests: [],
    refusals: 0,
    fault: undefined,
    close: async () => {
      await Promise.all([stop(front), stop(files)]);
    },
  };

  const listing = (id: string, repo: Repo) => ({
    id,
    sha: commitOf(repo),
    tags: repo.tags ?? [],
    siblings: Object.entries(repo.files).map(([rfilename, content]) => {
      const body = Buffer.from(content);
      if (repo.bare) return { rfilename };
      const blobId = sha("sha1", `blob ${body.length}\0`, body);
      const lfs = rfilename.endsWith(".safetensors")
        ? { sha256: sha256(body), size: body.length }
        : undefined;
      return { rfilename, size: body.length, blobId, ...(lfs ? { lfs } : {}) };
    }),
  });

  const front = createServer(async (request, response) => {
    hub.requests.push({ host: "hub", url: request.url!, headers: request.headers });
    const url = new URL(request.url!, "http://hub");
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(url.pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const id = api?.[1] ?? file?.[1] ?? "";
    const repo = repos.get(id);
    const refuse = (status: number, code: string) => {
      response.writeHead(status, { "x-error-code": code }).end("{}");
    };
    if (api && hub.refusals > 0) {
      hub.refusals--;
      return refuse(503, "Busy");
    }
    if (repo === undefined) return refuse(401, "RepoNotFound");
    if (repo.token !== undefined && request.headers.authorization !== `Bearer ${repo.token}`)
      return refuse(request.headers.authorization ? 403 : 401, "GatedRepo");
    const revision = decodeURIComponent(api?.[2] ?? file?.[2] ?? "");
    if (revision !== "main" && revision !== commitOf(repo)) return refuse(404, "RevisionNotFound");
    if (api) {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(listing(id, repo)));
      return;
    }
    const path = decodeURIComponent(file![3]!);
    const content = repo.files[path];
    if (content === undefined) return refuse(404, "EntryNotFound");
    const body = Buffer.from(content);
    response.setHeader("x-repo-commit", commitOf(repo));
    if (path.endsWith(".safetensors")) {
      const hash = sha256(body);
      blobs.set(hash, body);
      response.setHeader("x-linked-etag", `"${hash}"`).setHeader("x-linked-size", body.length);
      response.writeHead(302, { location: `${hub.filesOrigin}/blobs/${hash}?signature=secret` }).end();
      return;
    }
    response.setHeader("etag", `"${sha("sha1", `blob ${body.length}\0`, body)}"`);
    await send(request, response, body, hub.fault);
  });

  const files = createServer(async (request, response) => {
    hub.requests.push({ host: "files", url: request.url!, headers: request.headers });
    const path = new URL(request.url!, "http://files").pathname;
    const blob = blobs.get(path.replace("/blobs/", ""));
    const loose = hub.loose.get(path);
    const body = blob ?? loose?.body;
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader("etag", `"${sha("md5", body)}"`);
    for (const [name, value] of Object.entries(loose?.headers ?? {})) response.setHeader(name, value);
    await send(request, response, body, hub.fault);
  });

  hub.origin = await listen(front);
  hub.filesOrigin = await listen(files);
  return hub;
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  fault: Fault | undefined,
): Promise<void> {
  const asked = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const condition = request.headers["if-range"];
  const ranged = asked !== null && (condition === undefined || condition === response.getHeader("etag"));
  const start = ranged ? Number(asked[1]) : 0;
  const end = ranged ? Math.min(Number(asked[2]) + 1, body.length) : body.length;
  if (await fault?.(request, response, { body, start, end })) return;
  if (ranged && start >= body.length) {
    response.writeHead(416, { "content-range": `bytes */${body.length}` }).end();
    return;
  }
  response.writeHead(ranged ? 206 : 200, headersOf(ranged, start, end, body.length));
  response.end(body.subarray(start, end));
}

export function headersOf(ranged: boolean, start: number, end: number, total: number) {
  return {
    "accept-ranges": "bytes",
    "content-length": end - start,
    ...(ranged ? { "content-range": `bytes ${start}-${end - 1}/${total}` } : {}),
  };
}

export function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

export function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
