import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crynuxTokenBytecode, nodeBytecode, taskBytecode } from "../index.ts";
import { sourcesDigest } from "../scripts/compile.ts";
import { createNetwork } from "./support/network.ts";

for (const name of ["CrynuxToken", "Node", "Task"]) {
  test(`abi/${name}.ts is what the sources compile to`, () => {
    const text = readFileSync(join(import.meta.dirname, `../abi/${name}.ts`), "utf8");
    assert.ok(
      text.includes(`// Sources: ${sourcesDigest(["src"])}\n`),
      "the sources have changed: run node contracts/scripts/build.ts",
    );
  });
}

test("every contract fits on a chain, and so does its creation code", async () => {
  for (const bytecode of [crynuxTokenBytecode, nodeBytecode, taskBytecode]) {
    assert.ok((bytecode.length - 2) / 2 <= 49_152);
  }
  // The EVM refuses runtime code over 24,576 bytes and gas over 16.7 million: deploying is the test.
  await createNetwork({ nodes: 0 });
});
