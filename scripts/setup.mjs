/**
 * Makes a fresh clone ready: installs what the lock file says if that has not been done, and finds the pinned Node.js.
 * Plain JavaScript on purpose: it runs on whatever Node.js (20 or newer) the machine has.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const pinnedMajor = 24;

/** Installs dependencies unless this lock file's are installed; returns the path of a Node.js 24. */
export function setUp() {
  const stamp = join(root, "node_modules", ".hydrogen-lock");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .update(`${process.platform}-${process.arch}`)
    .digest("hex");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
    console.error("Installing dependencies (once, about a minute) …");
    const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      shell: process.platform === "win32",
    });
    if (npm.status !== 0) fail("SETUP_INSTALL_FAILED", "npm ci failed", "Is the package registry reachable?");
    writeFileSync(stamp, lock);
  }
  return pinnedNode();
}

function pinnedNode() {
  const own = join(root, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (existsSync(own)) return own;
  if (Number(process.versions.node.split(".")[0]) >= pinnedMajor) return process.execPath;
  return fail(
    "SETUP_NODE_TOO_OLD",
    `no Node.js ${pinnedMajor} comes from npm for ${process.platform}-${process.arch}`,
    `Install Node.js ${pinnedMajor} or newer and run this again.`,
  );
}

/** Runs the pinned Node.js on the given arguments, passes signals on, and ends with its exit code. */
export function runNode(args) {
  const child = spawn(setUp(), args, { cwd: root, stdio: "inherit", env: environment() });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}

/** Puts the pinned tools first on the path, so that child processes find the same Node.js. */
export function environment() {
  const bin = join(root, "node_modules", ".bin");
  const separator = process.platform === "win32" ? ";" : ":";
  return { ...process.env, PATH: `${bin}${separator}${process.env.PATH ?? ""}` };
}

function fail(code, message, hint) {
  console.error(`${code}: ${message}\n${hint}`);
  process.exit(1);
}
