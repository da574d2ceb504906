import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

type Locked = {
  version?: string;
  resolved?: string;
  link?: boolean;
  hasInstallScript?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
};

const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8")) as {
  packages: Record<string, Locked>;
};
const packages = Object.entries(lock.packages);

test("the lock file names no download address", () => {
  const addressed = packages.filter(([, { resolved, link }]) => resolved !== undefined && !link);
  assert.deepEqual(
    addressed.map(([path]) => path),
    [],
  );
});

// A registry mirror that lacks a platform's package makes npm leave it out of the lock; npm ci then refuses to install.
test("the lock file has every platform's optional packages", () => {
  const missing = packages.flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) =>
        !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
    ),
  );
  assert.deepEqual(missing, []);
});

test("versions of our direct dependencies are exact", () => {
  const loose = packages
    .filter(([path]) => !path.includes("node_modules"))
    .flatMap(([path, { dependencies = {}, optionalDependencies = {} }]) =>
      Object.entries({ ...dependencies, ...optionalDependencies })
        .filter(([, range]) => !/^\d+\.\d+\.\d+$/.test(range))
        .map(([name, range]) => `${path}: ${name} ${range}`),
    );
  assert.deepEqual(loose, []);
});

test("only packages that are told to skip their download have an install script", () => {
  const scripted = packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path);
  assert.deepEqual(scripted, ["node_modules/onnxruntime-node"]);
});
