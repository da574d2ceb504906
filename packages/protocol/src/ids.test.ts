import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { NodeStatus, TaskStatus, Verdict } from "./ids.ts";

const sources = ["INode", "ITask"]
  .map((name) => new URL(`../../../contracts/src/interfaces/${name}.sol`, import.meta.url))
  .map((url) => readFileSync(url, "utf8"))
  .join("\n");

function solidityEnum(name: string): Record<string, number> {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(sources)?.[1];
  assert.ok(body, `no enum ${name} in the contracts`);
  const names = body.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, "").match(/\w+/g)!;
  return Object.fromEntries(names.map((one, value) => [one, value]));
}

test("numbers states and verdicts as the contracts do", () => {
  assert.deepEqual({ ...NodeStatus }, solidityEnum("NodeStatus"));
  assert.deepEqual({ ...TaskStatus }, solidityEnum("TaskStatus"));
  assert.deepEqual({ ...Verdict }, solidityEnum("Verdict"));
});
