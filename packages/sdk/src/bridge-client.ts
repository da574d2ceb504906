/** The bridge's HTTP API for programs: submit task args, follow the task live, fetch images and the receipt. Browser-safe. */
import { type Clock, deserializeError, retry, type SerializedError, systemClock } from "@hydrogen/std";
import { sdkError } from "./errors.ts";

/** Where a task is. `accepted` … `verifying` in this order; the last three are final. */
export const bridgeTaskStatuses = [
  "accepted",
  "creating",
  "uploading_args",
  "drawing",
  "executing",
  "revealing",
  "fetching",
  "verifying",
  "done",
  "failed",
  "cancelled",
] as const;

export type BridgeTaskStatus = (typeof bridgeTaskStatuses)[number];

export type RoundProgress = {
  round: number;
  node: string;
  stage: string;
  step: number;
  steps: number;
};

export type BridgeTask = {
  /** The bridge's own id; known before the chain's. */
  id: string;
  status: BridgeTaskStatus;
  task_type: number;
  /** The id on chain, decimal; null until the task is created there. */
  task_id: string | null;
  task_hash: string;
  num_images: number;
  rounds: RoundProgress[];
  /** Milliseconds spent in each status so far. */
  stages_ms: Record<string, number>;
  created_at: string;
  updated_at: string;
  error: SerializedError | null;
};

export type BridgeModel = {
  id: string;
  title: string;
  licence: string;
  defaults: { widthPx: number; heightPx: number; steps: number; cfg: number; scheduler: string };
};

export type BridgeClient = {
  /** The models this network is known to run. */
  models(signal?: AbortSignal): Promise<BridgeModel[]>;
  /**
   * Submits task args; the bridge executes them exactly once per `idempotencyKey`.
   * @throws the bridge's coded error, for example ARGS_INVALID before any fee is paid
   */
  createTask(
    request: { taskType: number; taskArgs: string; idempotencyKey?: string },
    signal?: AbortSignal,
  ): Promise<BridgeTask>;
  getTask(id: string, signal?: AbortSignal): Promise<BridgeTask>;
  /** Yields the task whenever it changes, until it is final. Reconnects by itself. */
  follow(id: string, signal?: AbortSignal): AsyncGenerator<BridgeTask>;
  /** Cancels a task that is not on chain yet. */
  cancelTask(id: string, signal?: AbortSignal): Promise<BridgeTask>;
  /** The bytes of one image, as the node uploaded them. */
  getImage(id: string, index: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** The receipt as JSON text. */
  getReceipt(id: string, signal?: AbortSignal): Promise<string>;
};

export type BridgeClientOptions = { url: string; apiKey?: string; fetch?: typeof fetch; clock?: Clock };

export function createBridgeClient(options: BridgeClientOptions): BridgeClient {
  const fetchOf = options.fetch ?? fetch;
  const clock = options.clock ?? systemClock;
  const base = options.url.replace(/\/$/, "");

  async function request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (options.apiKey !== undefined) headers.set("authorization", `Bearer ${options.apiKey}`);
    let response: Response;
    try {
      response = await fetchOf(`${base}${path}`, { ...init, headers });
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw sdkError("BRIDGE_UNREACHABLE", { url: base }, cause);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
    ((await (await request(path, init)).json()) as { data: T }).data;
  const taskPath = (id: string) => `/v1/inference_tasks/${encodeURIComponent(id)}`;
  const withSignal = (signal: AbortSignal | undefined): RequestInit =>
    signal === undefined ? {} : { signal };

  return {
    models: (signal) => json("/v1/models/sd", withSignal(signal)),
    createTask: ({ taskType, taskArgs, idempotencyKey }, signal) =>
      json("/v1/inference_tasks", {
        ...withSignal(signal),
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
        },
        body: JSON.stringify({ task_type: taskType, task_args: taskArgs }),
      }),
    getTask: (id, signal) => json(taskPath(id), withSignal(signal)),
    cancelTask: (id, signal) => json(taskPath(id), { ...withSignal(signal), method: "DELETE" }),
    getImage: async (id, index, signal) =>
      new Uint8Array(
        await (await request(`${taskPath(id)}/results/${index}`, withSignal(signal))).arrayBuffer(),
      ),
    getReceipt: async (id, signal) => (await request(`${taskPath(id)}/receipt`, withSignal(signal))).text(),
    async *follow(id, signal) {
      const reconnect = { clock, signal, attempts: 8, delayMs: 100, maxDelayMs: 5_000 };
      for (;;) {
        const response = await retry(() => request(`${taskPath(id)}/events`, withSignal(signal)), reconnect);
        try {
          for await (const data of serverSentEvents(response)) {
            const task = JSON.parse(data) as BridgeTask;
            yield task;
            if (isFinal(task.status)) return;
          }
        } catch (error) {
          signal?.throwIfAborted();
          // A torn connection loses nothing: the next one begins with the task as it then is.
          if (!(error instanceof TypeError)) throw error;
        }
        await clock.sleep(reconnect.delayMs, signal);
      }
    },
  };
}

export function isFinal(status: BridgeTaskStatus): boolean {
  return status === "done" || status === "failed" || status === "cancelled";
}

/** The `data` of each event of a text/event-stream body; comments and other fields are skipped. */
async function* serverSentEvents(response: Response): AsyncGenerator<string> {
  if (response.body === null) throw sdkError("BRIDGE_ANSWER_INVALID", { url: response.url });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let buffered = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffered += decoder.decode(value, { stream: true });
      const events = buffered.split("\n\n");
      buffered = events.pop()!;
      for (const event of events) {
        const data = event
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart());
        if (data.length > 0) yield data.join("\n");
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function problemOf(response: Response): Promise<Error> {
  const problem = (await response.json().catch(() => undefined)) as Partial<SerializedError> & {
    detail?: string;
  };
  if (problem?.code === undefined)
    return sdkError("BRIDGE_ANSWER_INVALID", { url: response.url, status: response.status });
  return deserializeError({
    code: problem.code,
    message: problem.detail ?? problem.message ?? problem.code,
    retryable: problem.retryable ?? false,
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    ...(problem.failureClass === undefined ? {} : { failureClass: problem.failureClass }),
    facts: problem.facts ?? {},
  });
}
