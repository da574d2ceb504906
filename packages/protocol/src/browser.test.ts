import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

test("uses nothing that only Node.js has, no clock and no randomness", () => {
  const sources = readdirSync(new URL(".", import.meta.url)).filter((name) => /(?<!\.test)\.ts$/.test(name));
  assert.ok(sources.length > 15);
  for (const name of sources) {
    const source = readFileSync(new URL(name, import.meta.url), "utf8");
    const found = /from "node:|\b(?:Buffer|process|Date)\.|Math\.random|randomBytes|getRandomValues/.exec(
      source,
    );
    assert.equal(found, null, `${name}: ${found?.[0]}`);
  }
});
