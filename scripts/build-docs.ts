/**
 * Writes the pages that repeat what the code says: docs/errors.md from every `errors.ts`, docs/config.md from every
 * service's `config.ts`. With --check it only compares, and fails if a page is stale.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ErrorDefinitions } from "@hydrogen/std";
import { z } from "zod";

const root = fileURLToPath(new URL("..", import.meta.url));

const pages = { "docs/errors.md": await errorsPage(), "docs/config.md": await configPage() };
const stale = Object.entries(pages).filter(
  ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8") !== text,
);
if (process.argv.includes("--check")) {
  for (const [path] of stale) console.error(`${path} is stale: run node scripts/build-docs.ts`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  for (const [path, text] of stale) writeFileSync(join(root, path), text);
}

async function errorsPage(): Promise<string> {
  const sections: string[] = [];
  const owners = new Map<string, string>();
  for (const file of sources("errors")) {
    for (const value of Object.values(await import(join(root, file)))) {
      if (!hasDefinitions(value)) continue;
      const rows = Object.entries(value.definitions).map(([code, error]) => {
        const owner = owners.get(`${workspaceOf(file)} ${code}`);
        if (owner !== undefined) throw new Error(`${code} is defined in ${owner} and in ${file}`);
        owners.set(`${workspaceOf(file)} ${code}`, file);
        return `| \`${code}\` | ${error.message} | ${error.retryable ? "yes" : "no"} | ${error.failureClass ?? ""} | ${error.hint ?? ""} |`;
      });
      sections.push(
        [
          `## ${workspaceOf(file)}`,
          "",
          "| code | says | try again | failure class | what to do |",
          "| --- | --- | --- | --- | --- |",
          ...rows,
        ].join("\n"),
      );
    }
  }
  return [
    "# Errors",
    "",
    "Every error has a stable code. *Try again* says whether the same call may succeed later, unchanged; the *failure class* is what the protocol makes of an error that ends a task",
    "(see [protocol](protocol.md)). This page is generated from the code.",
    "",
    ...sections.flatMap((section) => [section, ""]),
  ].join("\n");
}

async function configPage(): Promise<string> {
  const sections: string[] = [];
  for (const file of sources("config")) {
    for (const value of Object.values(await import(join(root, file)))) {
      if (!(value instanceof z.ZodObject)) continue;
      const schema = z.toJSONSchema(value, { io: "input", unrepresentable: "any" }) as JsonSchema;
      sections.push(
        [
          `## ${workspaceOf(file)}`,
          "",
          "| setting | type | default | meaning |",
          "| --- | --- | --- | --- |",
          ...settingRows(schema),
        ].join("\n"),
      );
    }
  }
  return [
    "# Configuration",
    "",
    "Every service reads one JSON file, named on its command line or in `HYDROGEN_CONFIG`. `hydrogen up` writes these files itself. This page is generated from the schemas that check them.",
    "",
    ...sections.flatMap((section) => [section, ""]),
  ].join("\n");
}

type JsonSchema = {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
};

function settingRows(schema: JsonSchema, prefix = ""): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, setting]) => {
    const path = `${prefix}${name}`;
    if (setting.properties !== undefined) return settingRows(setting, `${path}.`);
    const fallback =
      setting.default === undefined
        ? schema.required?.includes(name)
          ? "required"
          : ""
        : `\`${JSON.stringify(setting.default)}\``;
    return [`| \`${path}\` | ${typeOf(setting)} | ${fallback} | ${setting.description ?? ""} |`];
  });
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(" or ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  return schema.type ?? "any";
}

function sources(subject: string): string[] {
  return globSync(
    [
      `packages/*/src/**/*${subject}.ts`,
      `services/*/src/**/*${subject}.ts`,
      `{devnet,cli}/src/**/*${subject}.ts`,
    ],
    {
      cwd: root,
    },
  )
    .filter((file) => file !== "packages/std/src/errors.ts")
    .sort();
}

function workspaceOf(file: string): string {
  return file.split("/src/")[0]!;
}

function hasDefinitions(value: unknown): value is { definitions: ErrorDefinitions } {
  return typeof value === "function" && "definitions" in value;
}
