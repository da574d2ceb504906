/**
 * The relay's HTTP API for applications and nodes: every request is signed (EIP-712), every failure has a code and says
 * whether trying again can help. Nothing the relay says is believed further than its hash. Browser-safe.
 */
import { authorizeRequest, keccak256, type Signer } from "@hydrogen/protocol";
import {
  bytesToHex,
  type Clock,
  concatBytes,
  deserializeError,
  type Hex,
  type HydrogenError,
  isHydrogenError,
  nowSec,
  type SerializedError,
  systemClock,
  utf8Encode,
} from "@hydrogen/std";
import type { RoundProgress } from "./bridge-client.ts";
import { relayClientError } from "./relay-errors.ts";

export type RelayClientOptions = {
  /** The relay's public origin: it is part of what is signed. */
  url: string;
  chainId: number;
  /** Address of the Task contract. */
  taskContract: Hex;
  /** Of one request, uploads and downloads included; default 60,000. */
  timeoutMs?: number;
};

export type RelayClientDeps = {
  /** A viem account has this shape. */
  signer: Signer;
  clock?: Clock;
  fetch?: typeof fetch;
  /** `n` unpredictable bytes; default the platform's. */
  randomBytes?: (n: number) => Uint8Array;
};

export type RelayTask = {
  task_id: number;
  task_type: number;
  task_args: string;
  task_hash: Hex;
  data_hash: Hex;
  creator: Hex;
  vram_limit: number;
  status: "pending" | "executing" | "revealing" | "uploading" | "done" | "aborted";
  selected_nodes: { round: number; address: Hex }[];
};

export type RelayNode = {
  address: Hex;
  status: string;
  card_model: string;
  /** GB. */
  v_ram: number;
  /** Wei of CNX, decimal; as are `stake` and, without a unit, `weight`. */
  cnx_balance: string;
  stake: string;
  weight: string;
};

/** All methods throw RELAY_UNREACHABLE, RELAY_ANSWER_INVALID, the relay's coded errors and the signal's reason. */
export type RelayClient = {
  /** As the task's creator. Again with the same args: changes nothing. */
  uploadArgs(taskId: bigint, argsText: string, signal?: AbortSignal): Promise<RelayTask>;
  /** As the creator or a selected node. The args are not yet checked against the chain. */
  getTask(taskId: bigint, signal?: AbortSignal): Promise<RelayTask>;
  /** The args of `getTask`: hash them before use. */
  getTaskArgs(taskId: bigint, signal?: AbortSignal): Promise<string>;
  /** As the round's node. */
  postProgress(
    taskId: bigint,
    progress: { round: number; stage: string; step: number; steps: number },
    signal?: AbortSignal,
  ): Promise<void>;
  /** As the creator: the latest of each round that told. */
  getProgress(taskId: bigint, signal?: AbortSignal): Promise<RoundProgress[]>;
  /** As the result node; after the upload deadline as any node that agreed. Again with the same files: changes nothing. */
  uploadResults(taskId: bigint, files: readonly Uint8Array[], signal?: AbortSignal): Promise<void>;
  /** As the creator: one file, not yet checked against the chain. */
  getResult(taskId: bigint, index: number, signal?: AbortSignal): Promise<Uint8Array>;
  nodesNumber(signal?: AbortSignal): Promise<{ all_nodes: number; available_nodes: number }>;
  /** At most 100 at a time. */
  nodesData(start: number, total: number, signal?: AbortSignal): Promise<RelayNode[]>;
  /** The relay's clock, Unix seconds. */
  now(signal?: AbortSignal): Promise<number>;
};

const noBody = new Uint8Array();
/** A signature is good for this long; the relay allows 300. */
const validForSec = 120;

type Body = { bytes: Uint8Array<ArrayBuffer>; contentType: string };

export function createRelayClient(options: RelayClientOptions, deps: RelayClientDeps): RelayClient {
  const { signer, clock = systemClock } = deps;
  const fetchOf = deps.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
  const randomBytes = deps.randomBytes ?? ((n) => crypto.getRandomValues(new Uint8Array(n)));
  const timeoutMs = options.timeoutMs ?? 60_000;
  const base = options.url.replace(/\/+$/, "");
  const domain = { chainId: options.chainId, verifyingContract: options.taskContract };
  /** What to add to our clock to have the relay's. */
  let skewSec = 0;

  async function authorization(method: string, url: URL, body: Uint8Array): Promise<string> {
    return authorizeRequest(signer, domain, {
      relay: url.origin,
      method,
      path: url.pathname + url.search,
      body,
      nonce: bytesToHex(randomBytes(32)),
      expirySec: nowSec(clock) + skewSec + validForSec,
    });
  }

  async function send<T>(
    method: "GET" | "POST",
    path: string,
    read: (response: Response) => Promise<T>,
    request: { body?: Body; unsigned?: boolean; signal?: AbortSignal | undefined },
  ): Promise<T> {
    const { body, signal } = request;
    const url = new URL(base + path);
    signal?.throwIfAborted();
    const headers = new Headers();
    if (body !== undefined) headers.set("content-type", body.contentType);
    if (!request.unsigned)
      headers.set("authorization", await authorization(method, url, body?.bytes ?? noBody));
    const timeout = AbortSignal.timeout(timeoutMs);
    const init: RequestInit = {
      method,
      headers,
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      ...(body === undefined ? {} : { body: body.bytes }),
    };
    try {
      const response = await fetchOf(url, init);
      if (!response.ok) throw await problemOf(response);
      return await read(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (isHydrogenError(error)) throw error;
      throw relayClientError("RELAY_UNREACHABLE", { url: base }, error);
    }
  }

  /** With the relay's own time if ours turns out to be wrong. */
  async function signed<T>(...args: Parameters<typeof send<T>>): Promise<T> {
    try {
      return await send(...args);
    } catch (error) {
      const relayTimeSec = isHydrogenError(error, "SIGNATURE_EXPIRED") ? error.facts.relayTimeSec : undefined;
      if (typeof relayTimeSec !== "number") throw error;
      skewSec = relayTimeSec - nowSec(clock);
      return send(...args);
    }
  }

  const post = (path: string, body: Body, signal?: AbortSignal) =>
    signed("POST", path, dataOf<unknown>, { body, signal });
  const get = <T>(path: string, signal?: AbortSignal) => signed("GET", path, dataOf<T>, { signal });
  const getUnsigned = <T>(path: string, signal?: AbortSignal) =>
    send("GET", path, dataOf<T>, { signal, unsigned: true });

  const getTask: RelayClient["getTask"] = (taskId, signal) => get(taskPath(taskId), signal);

  return {
    uploadArgs: (taskId, argsText, signal) =>
      post(
        "/v1/inference_tasks",
        json({ task_id: Number(taskId), task_args: argsText }),
        signal,
      ) as Promise<RelayTask>,
    getTask,
    getTaskArgs: async (taskId, signal) => (await getTask(taskId, signal)).task_args,
    postProgress: async (taskId, { round, stage, step, steps }, signal) => {
      await post(`${taskPath(taskId)}/progress`, json({ round, stage, step, steps }), signal);
    },
    getProgress: (taskId, signal) => get(`${taskPath(taskId)}/progress`, signal),
    uploadResults: async (taskId, files, signal) => {
      const boundary = bytesToHex(randomBytes(16)).slice(2);
      await post(`${taskPath(taskId)}/results`, multipart(files, boundary), signal);
    },
    getResult: (taskId, index, signal) =>
      signed("GET", `${taskPath(taskId)}/results/${index}`, fileOf, { signal }),
    nodesNumber: (signal) => getUnsigned("/v1/network/nodes/number", signal),
    nodesData: (start, total, signal) =>
      getUnsigned(`/v1/network/nodes/data?start=${start}&total=${total}`, signal),
    now: async (signal) => (await getUnsigned<{ now: number }>("/v1/now", signal)).now,
  };
}

function taskPath(taskId: bigint): string {
  return `/v1/inference_tasks/${taskId}`;
}

function json(value: unknown): Body {
  return { bytes: new Uint8Array(utf8Encode(JSON.stringify(value))), contentType: "application/json" };
}

/** Assembled here, because the signature covers the body's exact bytes. */
function multipart(files: readonly Uint8Array[], boundary: string): Body {
  const parts = files.flatMap((file, i) => [
    utf8Encode(
      `--${boundary}\r\nContent-Disposition: form-data; name="images"; filename="${i}.png"\r\nContent-Type: image/png\r\n\r\n`,
    ),
    file,
    utf8Encode("\r\n"),
  ]);
  return {
    bytes: new Uint8Array(concatBytes(...parts, utf8Encode(`--${boundary}--\r\n`))),
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}

async function dataOf<T>(response: Response): Promise<T> {
  const answer: unknown = await response.json().catch((cause: unknown) => {
    if (cause instanceof SyntaxError) throw answerInvalid(response, "not JSON");
    throw cause;
  });
  const { message, data } = (answer ?? {}) as { message?: unknown; data?: T };
  if (message !== "success") throw answerInvalid(response, "no success");
  return data as T;
}

async function fileOf(response: Response): Promise<Uint8Array> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const etag = response.headers.get("etag");
  // Damage on the way is worth another try; what the chain says of the file is for the caller to check.
  if (etag !== null && etag !== `"${keccak256(bytes)}"`) throw answerInvalid(response, "damaged file");
  return bytes;
}

async function problemOf(response: Response): Promise<HydrogenError> {
  const problem = (await response.json().catch(() => undefined)) as
    | (Partial<SerializedError> & { detail?: string })
    | undefined;
  if (typeof problem?.code !== "string") return answerInvalid(response, "not problem details");
  const { code, detail, retryable = false, hint, failureClass, facts = {} } = problem;
  return deserializeError({
    code,
    message: detail ?? code,
    retryable,
    facts,
    ...(hint === undefined ? {} : { hint }),
    ...(failureClass === undefined ? {} : { failureClass }),
  });
}

function answerInvalid(response: Response, reason: string): HydrogenError {
  return relayClientError("RELAY_ANSWER_INVALID", { url: response.url, status: response.status, reason });
}
