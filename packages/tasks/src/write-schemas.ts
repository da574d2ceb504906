/**
 * Writes the published JSON Schemas from the zod schemas; with --check it only compares and fails if they differ.
 * What is checked between fields (sd-rules.ts) a JSON Schema cannot say.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { sdTaskArgs } from "./sd-schema.ts";

export const schemaPath = fileURLToPath(
  new URL("../schemas/stable-diffusion-inference.json", import.meta.url),
);

/** The JSON Schema (draft 2020-12) of what an SD task's args may say. */
export function sdJsonSchema(): object {
  const schema = z.toJSONSchema(sdTaskArgs, {
    io: "input",
    target: "draft-2020-12",
    override: ({ zodSchema, jsonSchema }) => {
      // A bare name is accepted too: zod does not see what its preprocessor takes.
      if (zodSchema !== sdTaskArgs) return;
      const properties = jsonSchema.properties as Record<string, object>;
      const { description, ...object } = properties.base_model as { description?: string };
      properties.base_model = { description, anyOf: [{ type: "string", minLength: 1 }, object] };
    },
  });
  const { $schema, ...rest } = schema;
  const titled = {
    $schema,
    title: "Stable Diffusion task args",
    description: "Keys not listed are ignored.",
    ...rest,
  };
  // Through JSON, so that it compares equal with what was written.
  return JSON.parse(JSON.stringify(titled));
}

if (import.meta.main) {
  if (!process.argv.includes("--check")) {
    await writeFile(schemaPath, `${JSON.stringify(sdJsonSchema(), null, 2)}\n`);
  } else if (!isDeepStrictEqual(JSON.parse(await readFile(schemaPath, "utf8")), sdJsonSchema())) {
    console.error("packages/tasks/schemas is stale: run packages/tasks/src/write-schemas.ts");
    process.exitCode = 1;
  }
}
