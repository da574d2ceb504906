import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeStatus, taskStatus, taskType, verdict } from "../index.ts";

function solidityEnum(file: string, name: string): string[] {
  const source = readFileSync(join(import.meta.dirname, "../src/interfaces", file), "utf8");
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(source)?.[1];
  assert.ok(body, `no enum ${name} in ${file}`);
  return body.split(",").map((member) => member.trim());
}

for (const [file, name, values] of [
  ["INode.sol", "NodeStatus", nodeStatus],
  ["ITask.sol", "TaskStatus", taskStatus],
  ["ITask.sol", "Verdict", verdict],
] as const) {
  test(`${name} is the same in Solidity and TypeScript`, () => {
    const members = solidityEnum(file, name).map(
      (member) => member.charAt(0).toLowerCase() + member.slice(1),
    );
    assert.deepEqual(
      Object.entries(values),
      members.map((member, i) => [member, i]),
    );
  });
}

test("task types are the same in Solidity and TypeScript", () => {
  const source = readFileSync(join(import.meta.dirname, "../src/Task.sol"), "utf8");
  for (const [name, value] of Object.entries(taskType)) {
    assert.match(source, new RegExp(`uint256 public constant ${name.toUpperCase()} = ${value};`));
  }
});
