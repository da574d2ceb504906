#!/usr/bin/env node
/** Starts the command on a Node.js that runs TypeScript; plain JavaScript, so that any Node.js can read it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const binary = process.platform === "win32" ? "bin/node.exe" : "bin/node";
const platform = `${process.platform.replace("32", "")}-${process.arch}`;
const pinned = fileURLToPath(new URL(`../../node_modules/node-${platform}/${binary}`, import.meta.url));
const node = Number(process.versions.node.split(".")[0]) >= 24 ? process.execPath : pinned;
if (!existsSync(node)) {
  console.error(
    "SETUP_NODE_TOO_OLD: Node.js 24 is needed. Run npm ci in the repository, or install Node.js 24.",
  );
  process.exit(1);
}
const child = spawn(node, ["--disable-warning=ExperimentalWarning", main, ...process.argv.slice(2)], {
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
