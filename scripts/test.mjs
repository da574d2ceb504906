/** `npm test`: sets everything up and runs every test; `npm test -- chain` only those whose path contains that word. */
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { root, runNode } from "./setup.mjs";

const words = process.argv.slice(2);
const files = ["contracts", "packages", "services", "devnet", "cli", "test"]
  .flatMap((folder) => [...testFiles(join(root, folder))])
  .map((file) => relative(root, file))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`No test's path contains ${words.join(" or ")}.`);
  process.exit(1);
}
runNode(["--test", "--test-concurrency=2", "--disable-warning=ExperimentalWarning", ...files]);

function* testFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* testFiles(path);
    else if (entry.name.endsWith(".test.ts")) yield path;
  }
}
