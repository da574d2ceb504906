import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Each workspace may import those of the rows above its own, never its own row's or a later one's. */
const layers = [
  ["contracts", "packages/std"],
  ["packages/protocol"],
  ["packages/tasks", "packages/diffusion"],
  ["packages/models"],
  ["packages/storage", "packages/telemetry"],
  ["packages/chain"],
  ["packages/sdk"],
  ["services/relay", "services/node", "services/bridge"],
  ["devnet"],
  ["cli"],
];

type Manifest = {
  name: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
};

const manifests = new Map<string, Manifest>(
  globSync(
    ["contracts", "devnet", "cli", "packages/*", "services/*"].map((p) => `${p}/package.json`),
    { cwd: root },
  ).map((file) => [dirname(file), JSON.parse(readFileSync(join(root, file), "utf8"))]),
);
const layerOf = new Map(layers.flatMap((row, layer) => row.map((folder) => [folder, layer] as const)));
const folderOf = new Map([...manifests].map(([folder, manifest]) => [manifest.name, folder]));

test("every workspace has a layer, and every layer's workspace exists", () => {
  assert.deepEqual([...manifests.keys()].sort(), [...layerOf.keys()].sort());
});

test("dependencies point to lower layers only", () => {
  const wrong = [...manifests].flatMap(([folder, manifest]) =>
    Object.keys(manifest.dependencies ?? {})
      .map((name) => folderOf.get(name))
      .filter(
        (target): target is string => target !== undefined && layerOf.get(target)! >= layerOf.get(folder)!,
      )
      .map((target) => `${folder} → ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test("sources import only what their package.json names, and reach into no other workspace by path", () => {
  const wrong: string[] = [];
  for (const [folder, manifest] of manifests) {
    const allowed = new Set([...Object.keys(manifest.dependencies ?? {}), manifest.name]);
    const allowedInTests = new Set([...allowed, ...Object.keys(manifest.devDependencies ?? {})]);
    for (const file of globSync(`${folder}/**/*.ts`, {
      cwd: root,
      exclude: (name) => name === "node_modules",
    })) {
      const names = /\.test\.ts$|\/(test|testing|scripts|goldens)\//.test(file) ? allowedInTests : allowed;
      for (const specifier of importsOf(readFileSync(join(root, file), "utf8"))) {
        if (specifier.startsWith("node:")) continue;
        if (specifier.startsWith(".")) {
          const target = relative(root, join(root, dirname(file), specifier));
          if (!target.startsWith(`${folder}/`)) wrong.push(`${file}: ${specifier}`);
          continue;
        }
        if (!names.has(packageOf(specifier))) wrong.push(`${file}: ${specifier}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("package.json names nothing that no source mentions", () => {
  const unused: string[] = [];
  for (const [folder, manifest] of manifests) {
    const files = globSync(`${folder}/**/*.{ts,sol}`, {
      cwd: root,
      exclude: (name) => name === "node_modules",
    });
    const sources = files.map((file) => readFileSync(join(root, file), "utf8"));
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
      const typed = name.replace(/^@types\//, "");
      const mentioned = (source: string) => source.includes(`"${typed}"`) || source.includes(`"${typed}/`);
      if (!sources.some(mentioned)) unused.push(`${folder}: ${name}`);
    }
  }
  assert.deepEqual(unused, []);
});

function importsOf(source: string): string[] {
  return [
    ...source.matchAll(
      /^(?:import|export)\s[^;]*?\sfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gms,
    ),
  ].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
