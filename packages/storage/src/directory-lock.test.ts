import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockDirectory } from "./directory-lock.ts";

test("lets one process in at a time, and the next when the first is gone, even killed", () => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-lock-"));
  const lockIn = JSON.stringify(new URL("./directory-lock.ts", import.meta.url).href);
  const script = `import { lockDirectory } from ${lockIn};
    try { lockDirectory(${JSON.stringify(dir)}); process.stdout.write("locked"); } catch (error) { process.stdout.write(error.code); }
    process.kill(process.pid, "SIGKILL");`;
  const inAnotherProcess = () => {
    try {
      return execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };
  assert.equal(inAnotherProcess(), "locked");
  const release = lockDirectory(dir);
  assert.equal(inAnotherProcess(), "STORAGE_IN_USE");
  release();
  assert.equal(inAnotherProcess(), "locked");
  rmSync(dir, { recursive: true });
});

test("says that a directory cannot be written, not that somebody is in it", () => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-lock-"));
  writeFileSync(join(dir, "file"), "");
  assert.throws(() => lockDirectory(join(dir, "file", "below")), { code: "STORAGE_WRITE_FAILED" });
  mkdirSync(join(dir, "taken", "lock.sqlite"), { recursive: true });
  assert.throws(() => lockDirectory(join(dir, "taken")), { code: "STORAGE_WRITE_FAILED" });
  rmSync(dir, { recursive: true });
});
