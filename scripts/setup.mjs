/**
 * Makes a fresh clone ready: installs what the lock file says if that has not been done, and finds the pinned Node.js.
 * Plain JavaScript on purpose: it runs on whatever Node.js (20 or newer) the machine has.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const pinnedMajor = 24;

/** Installs dependencies unless this lock file's are installed; returns the path of a Node.js 24. */
export function setUp() {
  if (!isInstalled()) {
    console.error("Installing dependencies (once, about a minute) …");
    const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root,
      // Standard output belongs to the command that is being set up for.
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32",
    });
    if (npm.status !== 0) fail("SETUP_INSTALL_FAILED", "npm ci failed", "Is the package registry reachable?");
  }
  return pinnedNode();
}

/** npm leaves a copy of what it installed in node_modules: the lock file's packages, less other platforms'. */
function isInstalled() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const versions = (path) => JSON.parse(readFileSync(path, "utf8")).packages;
  const there = versions(installed);
  return Object.entries(versions(join(root, "package-lock.json"))).every(
    ([path, { version, optional }]) =>
      !path.startsWith("node_modules/") ||
      (there[path] === undefined ? optional : there[path].version === version),
  );
}

function pinnedNode() {
  const binary = process.platform === "win32" ? "bin/node.exe" : "bin/node";
  const own = join(
    root,
    "node_modules",
    `node-${process.platform.replace("32", "")}-${process.arch}`,
    binary,
  );
  if (existsSync(own)) return own;
  if (Number(process.versions.node.split(".")[0]) >= pinnedMajor) return process.execPath;
  return fail(
    "SETUP_NODE_TOO_OLD",
    `no Node.js ${pinnedMajor} comes from npm for ${process.platform}-${process.arch}`,
    `Install Node.js ${pinnedMajor} or newer and run this again.`,
  );
}

/** Runs the pinned Node.js on the given arguments and ends with its exit code. Signals are passed on. */
export function runNode(args) {
  const child = spawn(setUp(), args, { cwd: root, stdio: "inherit", env: environment() });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}

/** Puts the pinned tools first on the path, so that child processes find the same Node.js. */
export function environment() {
  const bin = join(root, "node_modules", ".bin");
  return { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
}

function fail(code, message, hint) {
  console.error(`${code}: ${message}\n${hint}`);
  process.exit(1);
}
