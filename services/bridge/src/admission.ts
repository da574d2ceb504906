/** What is checked of task args before a fee is paid. */

import { taskHash } from "@hydrogen/protocol";
import type { BridgeModel } from "@hydrogen/sdk";
import { assertSupported, parseSdTaskArgs, vramLimitGb } from "@hydrogen/tasks";
import { bridgeError } from "./errors.ts";
import type { NewTask } from "./task-store.ts";

export type AdmittedTask = Omit<NewTask, "id" | "apiKey" | "idempotencyKey">;

/** @throws ARGS_NOT_JSON, ARGS_INVALID, UNSUPPORTED, MODEL_NOT_OFFERED, TASK_TYPE_UNSUPPORTED */
export type Admit = (taskType: number, argsText: string) => Promise<AdmittedTask>;

export function createAdmission(deps: {
  models: readonly BridgeModel[];
  feeWei: () => Promise<bigint>;
}): Admit {
  return async (taskType, argsText) => {
    if (taskType !== 0) throw bridgeError("TASK_TYPE_UNSUPPORTED", { taskType, supported: 0 });
    const { args } = parseSdTaskArgs(argsText);
    assertSupported(args);
    const model = args.base_model.name.toLowerCase();
    if (!deps.models.some(({ id }) => id === model))
      throw bridgeError("MODEL_NOT_OFFERED", { model, offered: deps.models.map(({ id }) => id).join(" ") });
    return {
      taskType,
      argsText,
      taskHash: taskHash(argsText),
      vramLimit: vramLimitGb(args),
      numImages: args.task_config.num_images,
      feeWei: await deps.feeWei(),
    };
  };
}
