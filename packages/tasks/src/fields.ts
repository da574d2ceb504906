/** Building blocks of the task schemas. */
import { z } from "zod";

export const nonEmpty = z.string().min(1);

/** A whole percentage from 1 to 100, as the documents write weights and fractions; `80` is 0.8. */
export const percent = z.int().min(1).max(100);

/** An optional setting: absent and null both mean "whatever the model's own configuration says". */
export function setting<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullable().default(null as never);
}

/** Free text that may be empty, which means none. */
export const textOrNone = z.string().default("");
