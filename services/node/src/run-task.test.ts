import assert from "node:assert/strict";
import { test } from "node:test";
import { diffusionError } from "@hydrogen/diffusion";
import { modelError } from "@hydrogen/models";
import { isHydrogenError } from "@hydrogen/std";
import { assertSupported, parseTaskArgs } from "@hydrogen/tasks";
import { nodeError } from "./errors.ts";
import { outcomeOf } from "./run-task.ts";
import { tinyArgs } from "./testing/tiny-model.ts";

const thrownBy = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was thrown");
};
const withLora = tinyArgs().replace('"prompt"', '"lora":{"model":"someone/lora"},"prompt"');

const onChain: [says: string, error: unknown, errorClass: number][] = [
  ["args that are no JSON", thrownBy(() => parseTaskArgs("{")), 1],
  ["args out of range", thrownBy(() => parseTaskArgs('{"base_model": "a/b", "prompt": ""}')), 1],
  ["a size that does not fit the model", diffusionError("ARGS_SIZE_INVALID"), 1],
  ["a model that is broken by itself", diffusionError("MODEL_WEIGHTS_INVALID"), 3],
];
for (const [says, error, errorClass] of onChain)
  test(`reports ${says} as class ${errorClass}`, () => {
    const outcome = outcomeOf(error, 0, 1000);
    assert.equal(outcome.kind === "error" && outcome.errorClass, errorClass);
  });

const silent: [says: string, error: unknown, again: boolean][] = [
  ["a feature this engine lacks", thrownBy(() => assertSupported(parseTaskArgs(withLora).args)), false],
  ["a kind of task this engine lacks", thrownBy(() => parseTaskArgs("{}", 1)), false],
  ["a kind of model this engine lacks", diffusionError("MODEL_UNSUPPORTED"), false],
  ["a model it does not have", modelError("MODEL_UNKNOWN"), false],
  ["a damaged copy of a model", modelError("MODEL_DAMAGED"), false],
  ["a crash of the engine", nodeError("ENGINE_PROCESS_CRASHED"), true],
  ["a hang of the engine", nodeError("ENGINE_PROCESS_TIMEOUT"), true],
  ["an engine that does not start", nodeError("ENGINE_PROCESS_START_FAILED"), true],
  ["a full disk", Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }), true],
  ["an error whose text quotes another's code", new Error("ARGS_INVALID: args_invalid"), true],
];
for (const [says, error, again] of silent)
  test(`stays silent about ${says} and ${again ? "tries again" : "does not try again"}`, () => {
    const outcome = outcomeOf(error, 0, 1000);
    assert.equal(outcome.kind, "failed");
    assert.equal(outcome.kind === "failed" && outcome.retryAtSec !== undefined, again);
    assert.equal(outcome.code, isHydrogenError(error) ? error.code : "ENGINE_PROCESS_FAILED");
  });

test("waits longer before each further try, but not for ever", () => {
  const waits = [0, 1, 2, 3, 10, 40].map((attempts) => {
    const outcome = outcomeOf(nodeError("ENGINE_PROCESS_CRASHED"), attempts, 1000);
    return outcome.kind === "failed" ? outcome.retryAtSec! - 1000 : 0;
  });
  assert.deepEqual(waits, [2, 4, 8, 16, 60, 60]);
});
