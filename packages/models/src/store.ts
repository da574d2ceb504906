/**
 * Models from the Hugging Face Hub, its mirrors, and web addresses, kept in one directory that several processes may
 * share. What a model folder holds is complete and checked: it gets its name only then.
 */
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { type Clock, isHydrogenError, retry } from "@hydrogen/std";
import { planAddress } from "./address-plan.ts";
import { describeModel } from "./describe.ts";
import { allOrNone, createLimit, type DownloadContext, downloadFile } from "./download.ts";
import { modelError } from "./errors.ts";
import { verifyFiles } from "./files.ts";
import { planHub } from "./hub.ts";
import { lock, type Release, touch, tryLock } from "./locks.ts";
import { isMissing, type ModelManifest, readManifest, saveManifest } from "./manifest.ts";
import type { Model } from "./models.ts";
import { createHttpClient, type Lookup, type ProxySettings } from "./net/http.ts";
import { createPolicy, defaultAllowedHosts } from "./net/policy.ts";
import { type Plan, planBytes } from "./plan.ts";
import { createProgressMeter, type ProgressMeter, type PullProgress } from "./progress.ts";
import { isOf, type ModelRef, type ParsedRef, parseRef } from "./ref.ts";
import { makeRoom, systemFreeBytes } from "./room.ts";
import { formatOf, readHead } from "./safetensors-check.ts";
import { createShelf, type ShelfEntry } from "./shelf.ts";

export type ModelStoreOptions = {
  /** Where the models are kept; one of the `modelsDirs` of listModels and resolveModel. */
  dir: string;
  /** For all models together. Without one, nothing is evicted. */
  quotaBytes?: number | undefined;
  /** What a pull leaves free on the disk; default 1 GiB. */
  minFreeBytes?: number | undefined;
  /** Of one model; default 64 GiB. */
  maxModelBytes?: number | undefined;
  /** `host`, `*.domain`, either with `:port`, or `*`; default: Hugging Face, Civitai, and where they keep files. */
  allowedHosts?: readonly string[] | undefined;
  /** More of the same, besides the default. */
  additionalHosts?: readonly string[] | undefined;
  /** The Hub or a mirror of it; default https://huggingface.co. Being named here, it may be http and private. */
  endpoint?: string | undefined;
  /** More origins that may be http and private, such as where a mirror keeps its files. */
  trustedOrigins?: readonly string[] | undefined;
  /** For the endpoint. Never sent elsewhere, never logged. */
  token?: string | undefined;
  /** For other hosts, by host: `{ "civitai.com": "…" }`. */
  hostTokens?: Readonly<Record<string, string>> | undefined;
  /** Asks no server for anything. */
  offline?: boolean | undefined;
  /** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, as in the environment; default none. */
  proxy?: ProxySettings | undefined;
  /** Requests at a time; default 4. */
  connections?: number | undefined;
  /** How long a server may stay silent; default 30 s. */
  idleTimeoutMs?: number | undefined;
  /** Tries of one request without a byte between them; default 5. */
  attempts?: number | undefined;
  /** What is recorded, and what is asked for, at once; default 8 and 64 MiB. */
  pieceBytes?: number | undefined;
  spanBytes?: number | undefined;
};

export type ModelStoreDeps = {
  clock: Clock;
  /** Default: the system's resolver. */
  lookup?: Lookup;
  /** Default: statfs. */
  freeBytes?: (dir: string) => Promise<number>;
};

export type PullOptions = {
  /** Told of every phase, and of bytes at most ten times a second. */
  onProgress?: ((progress: PullProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
};

export type StoredModel = ShelfEntry & {
  /** `owner/name`; of a partial model only its folder's name is known. */
  id: string;
  source: ModelManifest["source"];
  inUse: boolean;
  /** Absolute; undefined while partial. */
  dir: string | undefined;
};

export type ModelLease = {
  model: Model;
  /** The model may be evicted again. */
  release: Release;
};

export type ModelStore = {
  /**
   * Fetches a model, goes on with what an earlier pull left, or checks the one that is here and mends it.
   * @returns the model; every file's SHA-256 is in its manifest
   * @throws MODEL_REF_INVALID, MODEL_NO_SAFETENSORS, MODEL_INCOMPLETE, MODEL_AMBIGUOUS, MODEL_NOT_SAFETENSORS;
   * MODEL_NOT_FOUND, MODEL_ACCESS_DENIED, MODEL_OFFLINE, MODEL_HOST_REFUSED, MODEL_ADDRESS_REFUSED,
   * MODEL_UNREACHABLE, MODEL_SERVER_INVALID, MODEL_CHANGED, MODEL_HASH_MISMATCH; MODEL_TOO_LARGE,
   * MODEL_QUOTA_EXCEEDED, MODEL_DISK_FULL, MODEL_IN_USE (damaged, but in use); the signal's reason
   */
  pull(ref: ModelRef, options?: PullOptions): Promise<Model>;
  /** What is here, in order of id. */
  list(): Promise<StoredModel[]>;
  /** The model if it is here, not verified. @throws MODEL_UNKNOWN, MODEL_REF_INVALID, MODEL_MANIFEST_INVALID */
  resolve(ref: ModelRef): Promise<Model>;
  /** The model if it is here, kept from eviction until it is released or the process ends. @throws as resolve */
  acquire(ref: ModelRef, options?: { signal?: AbortSignal }): Promise<ModelLease>;
  /** Compares every file with its SHA-256. @throws MODEL_DAMAGED with the first that differs; as resolve */
  verify(ref: ModelRef, options?: { signal?: AbortSignal }): Promise<Model>;
  /** Removes the model, or what has arrived of it. @throws MODEL_IN_USE, MODEL_UNKNOWN, MODEL_REF_INVALID */
  remove(ref: ModelRef): Promise<void>;
  /** Closes idle connections. */
  close(): void;
};

/** @example const store = createModelStore({ dir: "models" }, { clock: systemClock }); */
export function createModelStore(options: ModelStoreOptions, deps: ModelStoreDeps): ModelStore {
  const { clock, lookup, freeBytes = systemFreeBytes } = deps;
  const { quotaBytes, minFreeBytes = 2 ** 30, maxModelBytes = 64 * 2 ** 30, offline = false } = options;
  const endpoint = new URL(options.endpoint ?? "https://huggingface.co");
  const shelf = createShelf(resolve(options.dir));
  const policy = createPolicy({
    allowedHosts: [...(options.allowedHosts ?? defaultAllowedHosts), ...(options.additionalHosts ?? [])],
    trustedOrigins: [
      ...(options.endpoint === undefined ? [] : [endpoint.origin]),
      ...(options.trustedOrigins ?? []),
    ],
  });
  const http = createHttpClient({
    policy,
    proxy: options.proxy ?? {},
    userAgent: "hydrogen-network/0.1",
    idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
    lookup,
  });
  const limit = createLimit(options.connections ?? 4);
  const download: Omit<DownloadContext, "onBytes"> = {
    http,
    clock,
    limit,
    pieceBytes: options.pieceBytes ?? 8 * 2 ** 20,
    spanBytes: options.spanBytes ?? 64 * 2 ** 20,
    attempts: options.attempts ?? 5,
  };

  const find = async (ref: ParsedRef): Promise<Model | undefined> => {
    const dir = shelf.finalDir(ref.slug);
    const manifest = await readManifest(dir);
    return manifest !== undefined && isOf(ref, manifest) ? { ...manifest, dir } : undefined;
  };
  const unknown = async (ref: ParsedRef) => {
    const known = (await list()).filter(({ state }) => state === "ready").map(({ id }) => id);
    return modelError("MODEL_UNKNOWN", { model: ref.id, known: known.slice(0, 20).join(", ") || "none" });
  };
  const resolveHere = async (ref: ParsedRef): Promise<Model> => {
    const model = await find(ref);
    if (model === undefined) throw await unknown(ref);
    return model;
  };
  const planOf = (ref: ParsedRef, signal: AbortSignal | undefined): Promise<Plan> => {
    if (ref.kind === "hub") return planHub(ref, { endpoint, token: options.token, http }, signal);
    return planAddress(ref, { http, token: ref.url && options.hostTokens?.[new URL(ref.url).host] }, signal);
  };

  /** Fetches into the incoming folder what it lacks; the caller holds the model's lock alone. */
  const fetchAll = async (
    ref: ParsedRef,
    meter: ProgressMeter,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    meter.reset();
    meter.enter("planning");
    const plan = await retry(() => planOf(ref, signal), {
      clock,
      signal,
      attempts: download.attempts,
      delayMs: 500,
      maxDelayMs: 30_000,
      isRetryable: (error) => isHydrogenError(error, "MODEL_UNREACHABLE"),
    });
    const bytes = planBytes(plan);
    const names = new Set(plan.files.map(({ path }) => path.toLowerCase()));
    // On some systems these would be one file.
    if (names.size !== plan.files.length)
      throw modelError("MODEL_SERVER_INVALID", { model: ref.id, reason: "two files of one name" });
    const settings = plan.files.find((file) => !isWeights(file) && file.sizeBytes > maxSettingsBytes);
    if (settings !== undefined || plan.files.length > maxFiles)
      throw modelError("MODEL_TOO_LARGE", {
        model: ref.id,
        files: plan.files.length,
        ...(settings ? { path: settings.path, bytes: settings.sizeBytes } : {}),
      });
    if (bytes > maxModelBytes)
      throw modelError("MODEL_TOO_LARGE", { model: ref.id, bytes, maxBytes: maxModelBytes });
    await makeRoom(shelf, ref.slug, bytes, { quotaBytes, minFreeBytes, clock, freeBytes }, signal);
    meter.expect(bytes);
    meter.enter("downloading");
    const incoming = shelf.incomingDir(ref.slug);
    const bySize = plan.files.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
    const hashes = await allOrNone(signal ?? new AbortController().signal, bySize, (file, signal) =>
      downloadFile(file, join(incoming, file.path), { ...download, onBytes: meter.add }, signal),
    );
    const files = Object.fromEntries(
      bySize.map(({ path }, at) => [path, hashes[at]!] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    for (const file of bySize) await checkWeights(incoming, file);
    await dropOthers(incoming, files);
    const { revision, variant, file } = ref;
    const manifest: ModelManifest = {
      id: ref.id,
      title: plan.title.slice(0, 200),
      licence: plan.licence,
      ...(await describeModel(incoming, Object.keys(files))),
      files,
      source: {
        from: plan.from,
        revision,
        commit: plan.commit,
        variant,
        file,
        pulledAt: new Date(clock.nowMs()).toISOString(),
      },
    };
    await saveManifest(incoming, manifest);
    await rm(shelf.finalDir(ref.slug), { recursive: true, force: true });
    await rename(incoming, shelf.finalDir(ref.slug));
    await shelf.unreserve(ref.slug);
    touch(shelf.lockPath(ref.slug), clock.nowMs());
  };

  /** Whether the model is here and intact. What is left of a damaged one becomes the start of a new pull. */
  const isIntact = async (ref: ParsedRef, signal: AbortSignal | undefined): Promise<Model | undefined> => {
    const model = await findReadable(ref);
    if (model === undefined) return undefined;
    try {
      await verifyFiles(model.dir, model, signal);
      return model;
    } catch (error) {
      if (!isHydrogenError(error, "MODEL_DAMAGED")) throw error;
      return undefined;
    }
  };
  /** What cannot be read is as good as not there: a pull mends it. */
  const findReadable = (ref: ParsedRef) =>
    find(ref).catch((error) => {
      if (isHydrogenError(error, "MODEL_MANIFEST_INVALID")) return undefined;
      throw error;
    });
  const pull = async (given: ModelRef, { onProgress, signal }: PullOptions = {}): Promise<Model> => {
    const ref = parseRef(given);
    const meter = createProgressMeter(clock, onProgress);
    const here = await findReadable(ref);
    if (here !== undefined) {
      meter.enter("verifying");
      const intact = await isIntact(ref, signal);
      if (intact !== undefined) {
        meter.enter("done");
        return intact;
      }
    }
    if (offline) throw modelError("MODEL_OFFLINE", { model: ref.id });
    await mkdir(shelf.dir, { recursive: true });
    const release =
      here === undefined
        ? await lock(shelf.lockPath(ref.slug), "exclusive", {
            clock,
            signal,
            onWait: () => meter.enter("waiting"),
          })
        : tryLock(shelf.lockPath(ref.slug), "exclusive");
    if (release === undefined) throw modelError("MODEL_IN_USE", { model: ref.id });
    try {
      touch(shelf.lockPath(ref.slug), clock.nowMs());
      // Another process may have been faster.
      if ((await isIntact(ref, signal)) === undefined) {
        await setAside(shelf.finalDir(ref.slug), shelf.incomingDir(ref.slug));
        for (let round = 1; ; round++) {
          try {
            await fetchAll(ref, meter, signal);
            break;
          } catch (error) {
            // What can never work need not keep its place.
            if (isHydrogenError(error) && error.failureClass === "model_invalid")
              await shelf.discard(ref.slug);
            if (round >= 3 || !isHydrogenError(error, "MODEL_CHANGED")) throw error;
          }
        }
      }
      meter.enter("done");
      return await resolveHere(ref);
    } finally {
      release();
    }
  };

  const list = async (): Promise<StoredModel[]> => {
    const entries = await shelf.entries();
    const models = await Promise.all(
      entries.map(async (entry): Promise<StoredModel> => {
        const dir = entry.state === "ready" ? shelf.finalDir(entry.slug) : undefined;
        const manifest = dir === undefined ? undefined : await readManifest(dir).catch(() => undefined);
        const release = tryLock(shelf.lockPath(entry.slug), "exclusive");
        release?.();
        const id = manifest?.id ?? entry.slug.replace("--", "/");
        return { ...entry, id, source: manifest?.source, inUse: release === undefined, dir };
      }),
    );
    return models.sort((a, b) => (a.slug < b.slug ? -1 : 1));
  };

  return {
    pull,
    list,
    resolve: async (given) => resolveHere(parseRef(given)),
    acquire: async (given, { signal } = {}) => {
      const ref = parseRef(given);
      await resolveHere(ref);
      const release = await lock(shelf.lockPath(ref.slug), "shared", { clock, signal });
      try {
        // Between finding and locking it may have been evicted; from here on it cannot be.
        const model = await resolveHere(ref);
        touch(shelf.lockPath(ref.slug), clock.nowMs());
        return { model, release };
      } catch (error) {
        release();
        throw error;
      }
    },
    verify: async (given, { signal } = {}) => {
      const model = await resolveHere(parseRef(given));
      await verifyFiles(model.dir, model, signal);
      return model;
    },
    remove: async (given) => {
      const ref = parseRef(given);
      const isHere = (await shelf.entries()).some(({ slug }) => slug === ref.slug);
      if (!isHere) throw await unknown(ref);
      const release = tryLock(shelf.lockPath(ref.slug), "exclusive");
      if (release === undefined) throw modelError("MODEL_IN_USE", { model: ref.id });
      try {
        await shelf.discard(ref.slug);
      } finally {
        release();
      }
    },
    close: () => http.close(),
  };
}

/** A pipeline has some twenty files, a sharded one a few dozen; a vocabulary takes a few megabytes. */
const maxFiles = 1_000;
const maxSettingsBytes = 64 * 2 ** 20;

const isWeights = ({ path }: { path: string }) => path.endsWith(".safetensors");

/** @throws MODEL_NOT_SAFETENSORS if that is what was published, MODEL_SERVER_INVALID if nobody vouches for the file */
async function checkWeights(dir: string, file: Plan["files"][number]): Promise<void> {
  const { path, sha256 } = file;
  if (!isWeights(file)) return;
  const { size } = await stat(join(dir, path));
  const format = formatOf(await readHead(join(dir, path)), size);
  if (format === "safetensors") return;
  await rm(join(dir, path));
  if (sha256 !== undefined) throw modelError("MODEL_NOT_SAFETENSORS", { path, looksLike: format });
  throw modelError("MODEL_SERVER_INVALID", { path, reason: "not a safetensors file", looksLike: format });
}

/** Files of an earlier state of the repository that the present one does not have. */
async function dropOthers(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    if (!(relative(dir, path).replaceAll("\\", "/") in files)) await rm(path);
  }
}

/** A damaged model goes back to where it is fetched: what is intact of it need not be fetched again. */
async function setAside(finalDir: string, incomingDir: string): Promise<void> {
  await mkdir(dirname(incomingDir), { recursive: true });
  try {
    await stat(finalDir);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  await rm(incomingDir, { recursive: true, force: true });
  await rename(finalDir, incomingDir);
}
