import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

/** Every module that `file` loads at run time, by the specifier it names it with. */
function importsOf(file: URL, seen = new Set<string>()): Set<string> {
  const source = readFileSync(file, "utf8");
  for (const [, clause, specifier] of source.matchAll(/^(?:import|export)\s([^;]*?)from "([^"]+)";/gms)) {
    if (clause!.startsWith("type ") || seen.has(specifier!)) continue;
    seen.add(specifier!);
    if (specifier!.startsWith(".")) importsOf(new URL(specifier!, file), seen);
  }
  return seen;
}

describe("main entry point", () => {
  it("loads nothing that a browser lacks", () => {
    const imports = importsOf(new URL("./index.ts", import.meta.url));
    assert.ok(imports.has("./pipeline.ts") && imports.has("viem"));
    const packages = [...imports].filter((specifier) => !specifier.startsWith("."));
    assert.deepEqual(new Set(packages), new Set(["@hydrogen/contracts", "@hydrogen/std", "viem"]));
    assert.ok(
      importsOf(new URL("./node.ts", import.meta.url)).has("node:crypto"),
      "the walk finds what it looks for",
    );
  });
});
