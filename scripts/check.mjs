/** `npm run check`: everything that can be said of the code without running it. */
import { spawnSync } from "node:child_process";
import { environment, root, setUp } from "./setup.mjs";

const node = setUp();
const checks = [
  ["format and lint", "biome", ["check", "--error-on-warnings", "."]],
  ["types", "tsc", ["--noEmit", "-p", "tsconfig.json"]],
  ["ABIs are those of the contracts", node, ["contracts/scripts/build.ts", "--check"]],
  ["JSON Schemas are those of the task types", node, ["packages/tasks/src/write-schemas.ts", "--check"]],
  ["docs are those of the code", node, ["scripts/build-docs.ts", "--check"]],
];
let failed = 0;
for (const [name, command, args] of checks) {
  const startedMs = Date.now();
  const { status } = spawnSync(command, args, {
    cwd: root,
    env: environment(),
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) failed++;
  console.error(
    `${status === 0 ? "ok    " : "FAILED"}  ${name}  (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`,
  );
}
process.exit(failed === 0 ? 0 : 1);
