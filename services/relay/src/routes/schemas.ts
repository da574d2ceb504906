/** Shapes that several routes share. The OpenAPI document is made of them. */
import { z } from "@hono/zod-openapi";
import { problemSchema } from "../problem.ts";

/** Task ids are counted from 1; beyond 2^53 they would not survive JSON. */
export const taskIdParam = z.object({
  task_id: z
    .string()
    .regex(/^[1-9]\d{0,14}$/)
    .transform(Number)
    .openapi({ param: { name: "task_id", in: "path" }, type: "string", example: "42" }),
});

export const imageNumParam = taskIdParam.extend({
  image_num: z
    .string()
    .regex(/^(?:0|[1-9]\d?)$/)
    .openapi({ param: { name: "image_num", in: "path" }, example: "0" }),
});

/** The seeds' signature scheme puts these into the query; Hydrogen's uses the Authorization header instead. */
export const seedsQuery = z.object({
  timestamp: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional(),
  signature: z.string().max(200).optional(),
});

/** The same in a JSON body. */
export const seedsFields = {
  timestamp: z.int().optional(),
  signature: z.string().max(200).optional(),
};

/** In the OpenAPI document: the header, or instead the seeds' fields. */
export const signedBy: Record<string, string[]>[] = [{ Hydrogen: [] }, {}];

export const addressSchema = z.string().openapi({ pattern: "^0x[0-9a-f]{40}$" });
export const hashSchema = z.string().openapi({ pattern: "^0x[0-9a-f]{64}$" });

export const success = <Data extends z.ZodType>(data: Data) =>
  z.object({ message: z.literal("success"), data });

/** A JSON answer in the envelope, and problems of these statuses. */
export function answers<Data extends z.ZodType>(
  description: string,
  data: Data,
  problems: readonly number[],
) {
  return {
    200: { description, content: { "application/json": { schema: success(data) } } },
    ...problemAnswers(problems),
  } as const;
}

export function problemAnswers(statuses: readonly number[]) {
  return Object.fromEntries(
    [...statuses, 429, 500, 503].map((status) => [
      status,
      { description: "Problem details", content: { "application/problem+json": { schema: problemSchema } } },
    ]),
  );
}
