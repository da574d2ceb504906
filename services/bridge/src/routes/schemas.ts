/** What the API takes and gives; the OpenAPI document is made of it. */
import { z } from "@hono/zod-openapi";
import { bridgeTaskStatuses } from "@hydrogen/sdk";

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().openapi({ example: "ARGS_INVALID" }),
    detail: z.string(),
    retryable: z.boolean(),
    hint: z.string().optional(),
    failureClass: z.string().optional(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  })
  .openapi("Problem");

export const createTaskSchema = z
  .object({
    task_type: z.int().default(0).openapi({ description: "0: Stable Diffusion" }),
    task_args: z.union([z.string(), z.record(z.string(), z.unknown())]).openapi({
      description:
        "The task args as JSON text, sent and hashed exactly as it is; an object is serialised once",
    }),
  })
  .openapi("CreateTask");

export const taskSchema = z
  .object({
    id: z.string().openapi({ description: "The bridge's id of the task" }),
    status: z.enum(bridgeTaskStatuses),
    task_type: z.int(),
    task_id: z.string().nullable().openapi({ description: "The id on chain" }),
    task_hash: z.string(),
    num_images: z.int(),
    rounds: z.array(
      z.object({ round: z.int(), node: z.string(), stage: z.string(), step: z.int(), steps: z.int() }),
    ),
    stages_ms: z.record(z.string(), z.number()),
    created_at: z.string(),
    updated_at: z.string(),
    error: z
      .object({
        code: z.string(),
        message: z.string(),
        retryable: z.boolean(),
        hint: z.string().optional(),
        failureClass: z.string().optional(),
        facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
      })
      .nullable(),
  })
  .openapi("Task");

export const modelSchema = z
  .object({
    id: z.string(),
    title: z.string(),
    licence: z.string(),
    defaults: z.object({
      widthPx: z.int(),
      heightPx: z.int(),
      steps: z.int(),
      cfg: z.number(),
      scheduler: z.string(),
    }),
  })
  .openapi("Model");

/** The success envelope around `data`. */
export function envelope<Schema extends z.ZodType>(data: Schema) {
  return z.object({ message: z.literal("success"), data });
}

export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({ "application/json": { schema } });

export const problemResponse = (description: string) => ({
  description,
  content: { "application/problem+json": { schema: problemSchema } },
});

export const taskParams = z.object({
  id: z
    .string()
    .max(64)
    .openapi({ param: { name: "id", in: "path" } }),
});
