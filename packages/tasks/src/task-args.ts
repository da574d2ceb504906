/** Task args of any type. */
import { TaskType } from "@hydrogen/protocol";
import { taskError } from "./errors.ts";
import { type ParsedSdArgs, parseSdTaskArgs } from "./sd-args.ts";

/**
 * Reads and checks the args of a task by its type.
 * @throws ARGS_TOO_LARGE, ARGS_NOT_JSON, ARGS_INVALID
 * @throws TASK_UNSUPPORTED for a type that has no engine yet (GPT)
 */
export function parseTaskArgs(text: string | Uint8Array, taskType: number = TaskType.SD): ParsedSdArgs {
  if (taskType !== TaskType.SD) {
    throw taskError("TASK_UNSUPPORTED", {
      path: "task_type",
      value: String(taskType),
      supported: `${TaskType.SD}`,
    });
  }
  return parseSdTaskArgs(text);
}
