/** `/v1/inference_tasks`: create, look at, follow, cancel; images and receipt. */
import { randomUUID } from "node:crypto";
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { isFinal } from "@hydrogen/sdk";
import { streamSSE } from "hono/streaming";
import type { BridgeContext } from "../context.ts";
import { bridgeError } from "../errors.ts";
import { imageName } from "../task-runner.ts";
import { type StoredTask, taskView } from "../task-store.ts";
import { createTaskSchema, envelope, jsonBody, problemResponse, taskParams, taskSchema } from "./schemas.ts";

const security = [{ apiKey: [] }];
const taskResponse = (description: string) => ({ description, content: jsonBody(envelope(taskSchema)) });

const createTaskRoute = createRoute({
  method: "post",
  path: "/v1/inference_tasks",
  security,
  summary: "Create a task",
  description: "Checks the args, then accepts the task: it will be executed exactly once, whatever crashes.",
  request: {
    headers: z.object({ "idempotency-key": z.string().max(128).optional() }),
    body: { required: true, content: jsonBody(createTaskSchema) },
  },
  responses: {
    202: taskResponse("Accepted, or known from an earlier request with the same idempotency key"),
    400: problemResponse("The args are wrong; nothing was paid"),
    401: problemResponse("No valid API key"),
    402: problemResponse("The budget is exhausted"),
    409: problemResponse("The idempotency key belongs to another task"),
    503: problemResponse("The chain does not answer; nothing was accepted"),
  },
});

const getTaskRoute = createRoute({
  method: "get",
  path: "/v1/inference_tasks/{id}",
  security,
  summary: "Look at a task",
  request: { params: taskParams },
  responses: { 200: taskResponse("The task"), 404: problemResponse("No such task") },
});

const cancelTaskRoute = createRoute({
  method: "delete",
  path: "/v1/inference_tasks/{id}",
  security,
  summary: "Cancel a task that is not on chain yet",
  request: { params: taskParams },
  responses: {
    200: taskResponse("Cancelled"),
    404: problemResponse("No such task"),
    409: problemResponse("Too late"),
  },
});

const followTaskRoute = createRoute({
  method: "get",
  path: "/v1/inference_tasks/{id}/events",
  security,
  summary: "Follow a task live",
  description:
    "Server-sent events: one `task` event with the whole task at once and after every change; closes when the task is final.",
  request: { params: taskParams },
  responses: {
    200: { description: "The events", content: { "text/event-stream": { schema: z.string() } } },
    404: problemResponse("No such task"),
  },
});

const getImageRoute = createRoute({
  method: "get",
  path: "/v1/inference_tasks/{id}/results/{index}",
  security,
  summary: "One image of a finished task",
  request: {
    params: taskParams.extend({
      index: z.coerce
        .number()
        .int()
        .min(0)
        .openapi({ param: { name: "index", in: "path" } }),
    }),
  },
  responses: {
    200: {
      description: "A PNG",
      content: { "image/png": { schema: z.string().openapi({ format: "binary" }) } },
    },
    404: problemResponse("No such task or image"),
    409: problemResponse("Not finished"),
  },
});

const getReceiptRoute = createRoute({
  method: "get",
  path: "/v1/inference_tasks/{id}/receipt",
  security,
  summary: "The receipt: everything needed to check the result against the chain",
  request: { params: taskParams },
  responses: {
    200: { description: "The receipt", content: { "application/json": { schema: z.object({}).loose() } } },
    404: problemResponse("No such task"),
    409: problemResponse("Not finished"),
  },
});

export function addTaskRoutes(app: OpenAPIHono, context: BridgeContext): void {
  const { authorize, store, runner, live, blobs, admit, signal } = context;

  const ownTask = (authorization: string | undefined, id: string): StoredTask => {
    const key = authorize(authorization);
    const task = store.get(id);
    if (task === undefined || task.apiKey !== key.name) throw bridgeError("TASK_NOT_FOUND", { id });
    return task;
  };
  const view = (task: StoredTask) => taskView(task, live.rounds(task.id));
  const success = (task: StoredTask) => ({ message: "success" as const, data: view(task) });

  app.openapi(createTaskRoute, async (c) => {
    const key = authorize(c.req.header("authorization"));
    const { task_type, task_args } = c.req.valid("json");
    const admitted = await admit(
      task_type,
      typeof task_args === "string" ? task_args : JSON.stringify(task_args),
    );
    const idempotencyKey = c.req.valid("header")["idempotency-key"];
    const { task, isNew } = store.accept(
      { ...admitted, id: randomUUID(), apiKey: key.name, idempotencyKey },
      key.budgetWei,
    );
    if (isNew) runner.enqueue(task);
    return c.json(success(task), 202);
  });

  app.openapi(getTaskRoute, (c) =>
    c.json(success(ownTask(c.req.header("authorization"), c.req.valid("param").id)), 200),
  );

  app.openapi(cancelTaskRoute, (c) => {
    const task = ownTask(c.req.header("authorization"), c.req.valid("param").id);
    return c.json(success(runner.cancel(task)), 200);
  });

  app.openapi(followTaskRoute, (c) => {
    const { id } = ownTask(c.req.header("authorization"), c.req.valid("param").id);
    return streamSSE(c, async (stream) => {
      const gone = new AbortController();
      stream.onAbort(() => gone.abort());
      const ended = AbortSignal.any([gone.signal, signal]);
      while (!ended.aborted) {
        // Listen before looking: a change in between must not be missed.
        const changed = live.nextChange(id, ended);
        const task = store.get(id)!;
        await stream.writeSSE({ event: "task", data: JSON.stringify(view(task)) });
        if (isFinal(task.status)) return;
        await changed;
      }
    }) as never;
  });

  app.openapi(getImageRoute, async (c) => {
    const { id, index } = c.req.valid("param");
    const task = ownTask(c.req.header("authorization"), id);
    if (task.status !== "done") throw bridgeError("TASK_NOT_DONE", { id, status: task.status });
    const blob = index < task.numImages ? await blobs.read(imageName(id, index)) : undefined;
    if (blob === undefined) throw bridgeError("IMAGE_NOT_FOUND", { id, index });
    return c.body(blob.stream, 200, {
      "content-type": "image/png",
      "content-length": String(blob.sizeBytes),
      "cache-control": "private, max-age=31536000, immutable",
    }) as never;
  });

  app.openapi(getReceiptRoute, (c) => {
    const { id } = c.req.valid("param");
    const task = ownTask(c.req.header("authorization"), id);
    if (task.receipt === undefined) throw bridgeError("TASK_NOT_DONE", { id, status: task.status });
    return c.body(task.receipt, 200, { "content-type": "application/json" }) as never;
  });
}
