/** Task args: creators hand them in, creators and selected nodes read them. And the progress of the rounds. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { taskHash } from "@hydrogen/protocol";
import type { Clock } from "@hydrogen/std";
import { parseTaskArgs } from "@hydrogen/tasks";
import type { Context } from "hono";
import { type Authenticator, type RelayEnv, requireSigner, signed, signedJson } from "../auth.ts";
import { createBodyBudget } from "../body.ts";
import type { RelayLimits } from "../config.ts";
import { relayError } from "../errors.ts";
import type { ProgressBoard } from "../progress.ts";
import { roundOf, type TaskView } from "../task-view.ts";
import type { Tasks } from "../tasks.ts";
import type { Uploads } from "../uploads.ts";
import {
  addressSchema,
  answers,
  hashSchema,
  problemAnswers,
  seedsFields,
  seedsQuery,
  signedBy,
  taskIdParam,
} from "./schemas.ts";

export type TaskRouteDeps = {
  auth: Authenticator;
  tasks: Tasks;
  uploads: Uploads;
  progress: ProgressBoard;
  clock: Clock;
  limits: RelayLimits;
};

const taskSchema = z
  .object({
    task_id: z.int(),
    task_type: z.int().describe("0: Stable Diffusion, 1: GPT."),
    task_args: z.string().describe("The exact text; its keccak256 is task_hash."),
    task_hash: hashSchema,
    data_hash: hashSchema,
    creator: addressSchema,
    vram_limit: z.int(),
    status: z.enum(["pending", "executing", "revealing", "uploading", "done", "aborted"]),
    selected_nodes: z
      .array(z.object({ round: z.int(), address: addressSchema }))
      .describe("For the creator all of them, for a node its own."),
  })
  .openapi("Task");

const progressSchema = z
  .object({
    round: z.int().min(0).max(2),
    stage: z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/),
    step: z.int().min(0).max(100_000),
    steps: z.int().min(0).max(100_000),
  })
  .openapi("Progress");

const nothing = z.object({ message: z.literal("success") });
/** Of a JSON body around the task args, whose quotes and line breaks are escaped in it. */
const envelopeBytes = 4_096;
const progressBytes = 4_096;

export function addTaskRoutes(app: OpenAPIHono<RelayEnv>, deps: TaskRouteDeps): void {
  const { auth, tasks, uploads, progress, clock, limits } = deps;
  const budget = createBodyBudget(limits.maxBufferedBytes);
  const taskIdOf = (c: Context) => ({ task_id: Number(c.req.param("task_id")) });

  const uploadArgs = createRoute({
    method: "post",
    path: "/v1/inference_tasks",
    summary: "Upload the args of a task (its creator)",
    security: signedBy,
    middleware: signedJson(auth, { maxBytes: 2 * limits.maxArgsBytes + envelopeBytes, budget }),
    request: {
      body: {
        required: true,
        content: {
          "application/json": {
            schema: z.object({
              task_id: z.int().min(1),
              task_args: z.string().describe("Its keccak256 must be the task's taskHash."),
              ...seedsFields,
            }),
          },
        },
      },
    },
    responses: answers("The task", taskSchema, [400, 401, 403, 404, 409, 413, 415, 422]),
  });
  app.openapi(uploadArgs, async (c) => {
    const { task_id, task_args } = c.req.valid("json");
    const view = await tasks.find(task_id, () => true);
    const signer = requireSigner(c.var.signers, (address) => address === view.creator);
    const size = Buffer.byteLength(task_args);
    if (size > limits.maxArgsBytes)
      throw relayError("RELAY_BODY_TOO_LARGE", { maxBytes: limits.maxArgsBytes });
    if (taskHash(task_args) !== view.taskHash) {
      throw relayError("RELAY_TASK_HASH_MISMATCH", { expected: view.taskHash, actual: taskHash(task_args) });
    }
    if ((await uploads.getArgs(view.taskHash, signer)) === undefined) {
      if (isOver(view)) throw relayError("RELAY_TASK_NOT_RUNNING", { status: view.status });
      parseTaskArgs(task_args, view.taskType);
      await uploads.putArgs(view.taskHash, signer, task_args);
    }
    return c.json({ message: "success" as const, data: describe(view, signer, task_args) }, 200);
  });

  const getTask = createRoute({
    method: "get",
    path: "/v1/inference_tasks/{task_id}",
    summary: "The args and state of a task (its creator and its nodes)",
    security: signedBy,
    middleware: signed(auth, taskIdOf),
    request: { params: taskIdParam, query: seedsQuery },
    responses: answers("The task", taskSchema, [400, 401, 403, 404, 409]),
  });
  app.openapi(getTask, async (c) => {
    const { signers } = c.var;
    const mayRead = (view: TaskView) => (address: string) =>
      address === view.creator || roundOf(view, address) !== undefined;
    const view = await tasks.find(c.req.valid("param").task_id, (view) => signers.some(mayRead(view)));
    const signer = requireSigner(signers, mayRead(view));
    const taskArgs = await uploads.getArgs(view.taskHash, view.creator);
    if (taskArgs === undefined) throw relayError("RELAY_ARGS_NOT_UPLOADED", { taskId: view.taskId });
    return c.json({ message: "success" as const, data: describe(view, signer, taskArgs) }, 200);
  });

  const postProgress = createRoute({
    method: "post",
    path: "/v1/inference_tasks/{task_id}/progress",
    summary: "Tell how far a round is (its node)",
    security: signedBy,
    middleware: signedJson(auth, { maxBytes: progressBytes, budget }, taskIdOf),
    request: {
      params: taskIdParam,
      body: {
        required: true,
        content: { "application/json": { schema: progressSchema.extend(seedsFields) } },
      },
    },
    responses: {
      200: { description: "Kept", content: { "application/json": { schema: nothing } } },
      ...problemAnswers([400, 401, 403, 404, 409, 413, 415]),
    },
  });
  app.openapi(postProgress, async (c) => {
    const { round, stage, step, steps } = c.req.valid("json");
    const { signers } = c.var;
    const mayPost = (view: TaskView) => (address: string) => view.rounds[round]?.node === address;
    const view = await tasks.find(c.req.valid("param").task_id, (view) => signers.some(mayPost(view)));
    requireSigner(signers, mayPost(view));
    if (isOver(view)) throw relayError("RELAY_TASK_NOT_RUNNING", { status: view.status });
    progress.post(view.taskId, { round, stage, step, steps, atMs: clock.nowMs() });
    return c.json({ message: "success" as const }, 200);
  });

  const getProgress = createRoute({
    method: "get",
    path: "/v1/inference_tasks/{task_id}/progress",
    summary: "How far each round is (the task's creator)",
    security: signedBy,
    middleware: signed(auth, taskIdOf),
    request: { params: taskIdParam, query: seedsQuery },
    responses: answers(
      "The latest of each round that told",
      z.array(progressSchema.extend({ node: addressSchema, updated_at_ms: z.int() })),
      [400, 401, 403, 404, 409],
    ),
  });
  app.openapi(getProgress, async (c) => {
    const taskId = c.req.valid("param").task_id;
    // Progress may have come from nodes whose draw is not followed yet.
    const knowsItsNodes = ({ rounds }: TaskView) => progress.get(taskId).every(({ round }) => rounds[round]);
    const view = await tasks.find(taskId, knowsItsNodes);
    requireSigner(c.var.signers, (address) => address === view.creator);
    const data = progress.get(view.taskId).flatMap(({ atMs, ...latest }) => {
      const node = view.rounds[latest.round]?.node;
      return node === undefined ? [] : [{ ...latest, node, updated_at_ms: atMs }];
    });
    return c.json({ message: "success" as const, data }, 200);
  });
}

function isOver(view: TaskView): boolean {
  return view.status === "done" || view.status === "aborted";
}

function describe(view: TaskView, signer: string, taskArgs: string): z.infer<typeof taskSchema> {
  const nodes = view.rounds.map(({ node }, round) => ({ round, address: node }));
  return {
    task_id: view.taskId,
    task_type: view.taskType,
    task_args: taskArgs,
    task_hash: view.taskHash,
    data_hash: view.dataHash,
    creator: view.creator,
    vram_limit: view.vramLimit,
    status: view.status,
    selected_nodes: signer === view.creator ? nodes : nodes.filter(({ address }) => address === signer),
  };
}
