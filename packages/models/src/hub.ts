/**
 * The Hugging Face Hub, or a mirror of it: what a repository holds at a revision, and which of it to fetch. The
 * revision is pinned to its commit at once, so all files are of one state.
 */
import { z } from "zod";
import { modelError } from "./errors.ts";
import { failureOf, type HttpClient, readBody } from "./net/http.ts";
import type { Plan, PlannedFile } from "./plan.ts";
import { probe } from "./probe.ts";
import type { HubRef } from "./ref.ts";
import { selectLoose, selectPipeline } from "./select.ts";

const maxListingBytes = 16 * 2 ** 20;
const maxIndexBytes = 2 ** 20;

const listingSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  tags: z.array(z.string()).optional(),
  siblings: z
    .array(
      z.object({
        rfilename: z.string(),
        size: z.int().nonnegative().nullish(),
        blobId: z.string().nullish(),
        lfs: z
          .object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().nonnegative() })
          .partial()
          .nullish(),
      }),
    )
    .max(100_000),
});

type Listing = z.output<typeof listingSchema>;

export type HubOptions = { endpoint: URL; token?: string | undefined; http: HttpClient };

/**
 * @throws as HttpClient.get; MODEL_NOT_FOUND, MODEL_ACCESS_DENIED, MODEL_UNREACHABLE, MODEL_SERVER_INVALID,
 * MODEL_NO_SAFETENSORS, MODEL_INCOMPLETE, MODEL_AMBIGUOUS
 */
export async function planHub(ref: HubRef, options: HubOptions, signal?: AbortSignal): Promise<Plan> {
  const listing = await fetchListing(ref, options, signal);
  const siblings = new Map(listing.siblings.map((sibling) => [sibling.rfilename, sibling]));
  const addressOf = (path: string) =>
    hubUrl(options.endpoint, `${ref.repo}/resolve/${listing.sha}/${path.split("/").map(segment).join("/")}`);
  const choose = async (): Promise<string[]> => {
    const paths = [...siblings.keys()];
    if (ref.file !== null) {
      if (siblings.has(ref.file)) return [ref.file];
      throw modelError("MODEL_NOT_FOUND", { model: ref.repo, file: ref.file });
    }
    if (!siblings.has("model_index.json")) return selectLoose(paths, ref.variant).paths;
    const index = await fetchJson(addressOf("model_index.json"), maxIndexBytes, options, signal);
    if (typeof index !== "object" || index === null || Array.isArray(index))
      throw modelError("MODEL_INCOMPLETE", { file: "model_index.json", reason: "not an object" });
    return selectPipeline(paths, index as Record<string, unknown>, ref.variant).paths;
  };
  const files = await Promise.all(
    (await choose()).map((path) => planFile(siblings.get(path)!, addressOf(path), options, signal)),
  );
  if (ref.sha256 !== null) {
    const [only] = files;
    if (files.length !== 1 || only === undefined)
      throw modelError("MODEL_REF_INVALID", { model: ref.repo, what: "sha256 of several files" });
    if (only.sha256 !== undefined && only.sha256 !== ref.sha256)
      throw modelError("MODEL_HASH_MISMATCH", {
        path: only.path,
        expected: ref.sha256,
        actual: only.sha256,
      });
    only.sha256 = ref.sha256;
  }
  const licence = listing.tags?.find((tag) => tag.startsWith("license:"))?.slice("license:".length);
  return {
    title: ref.repo,
    licence: licence?.slice(0, 200) || "NOASSERTION",
    from: ref.repo,
    commit: listing.sha,
    files,
  };
}

async function fetchListing(ref: HubRef, options: HubOptions, signal?: AbortSignal): Promise<Listing> {
  const url = hubUrl(options.endpoint, `api/models/${ref.repo}/revision/${segment(ref.revision)}`);
  url.searchParams.set("blobs", "true");
  const parsed = listingSchema.safeParse(await fetchJson(url, maxListingBytes, options, signal));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw modelError("MODEL_SERVER_INVALID", {
    model: ref.repo,
    field: issue.path.join("."),
    reason: issue.message,
  });
}

/** Mirrors may leave sizes and hashes out of the listing; then each file is asked about. */
async function planFile(
  sibling: Listing["siblings"][number],
  url: URL,
  { http, token }: HubOptions,
  signal: AbortSignal | undefined,
): Promise<PlannedFile> {
  const { rfilename: path, size, blobId, lfs } = sibling;
  const sizeBytes = lfs?.size ?? size;
  if (typeof sizeBytes === "number" && (lfs?.sha256 ?? blobId))
    return lfs?.sha256
      ? { path, url, token, sizeBytes, sha256: lfs.sha256 }
      : { path, url, token, sizeBytes, gitOid: blobId! };
  const { head: _, fileName: __, ...found } = await probe(http, url, { token, signal });
  return { path, url, token, ...found };
}

async function fetchJson(
  url: URL,
  maxBytes: number,
  { http, token }: HubOptions,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const response = await http.get(url, { token, signal });
  if (response.status !== 200) throw failureOf(response);
  const text = (await readBody(response, maxBytes, signal)).toString("utf8");
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw modelError("MODEL_SERVER_INVALID", { url: response.shown, reason: "not JSON" }, cause);
  }
}

function hubUrl(endpoint: URL, path: string): URL {
  return new URL(`${endpoint.href.replace(/\/$/, "")}/${path}`);
}

/** One segment, whatever slashes a branch's name has. */
const segment = encodeURIComponent;
