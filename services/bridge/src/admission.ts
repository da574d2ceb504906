/** What is checked of task args before a fee is paid. */

import { taskHash } from "@hydrogen/protocol";
import type { BridgeModel } from "@hydrogen/sdk";
import { assertSupported, parseSdTaskArgs, vramLimitGb } from "@hydrogen/tasks";
import { bridgeError } from "./errors.ts";
import type { HoldsVram } from "./network-vram.ts";
import type { NewTask } from "./task-store.ts";

export type AdmittedTask = Omit<NewTask, "id" | "apiKey" | "idempotencyKey">;

/**
 * @throws TASK_TYPE_UNSUPPORTED, ARGS_NOT_JSON, ARGS_INVALID, TASK_UNSUPPORTED, MODEL_NOT_OFFERED, VRAM_EXCEEDED,
 * VRAM_NOT_OFFERED; the chain's errors
 */
export type Admit = (taskType: number, argsText: string) => Promise<AdmittedTask>;

export function createAdmission(deps: {
  models: readonly BridgeModel[];
  feeWei: () => Promise<bigint>;
  holdsVram: HoldsVram;
}): Admit {
  return async (taskType, argsText) => {
    if (taskType !== 0) throw bridgeError("TASK_TYPE_UNSUPPORTED", { taskType, supported: 0 });
    const { args } = parseSdTaskArgs(argsText);
    assertSupported(args);
    const model = args.base_model.name.toLowerCase();
    if (!deps.models.some(({ id }) => id === model))
      throw bridgeError("MODEL_NOT_OFFERED", { model, offered: deps.models.map(({ id }) => id).join(" ") });
    const vramLimit = vramLimitGb(args);
    const { holds, offeredGb } = await deps.holdsVram(vramLimit);
    if (!holds) throw bridgeError("VRAM_NOT_OFFERED", { neededGb: vramLimit, offeredGb });
    return {
      taskType,
      argsText,
      taskHash: taskHash(argsText),
      vramLimit,
      numImages: args.task_config.num_images,
      feeWei: await deps.feeWei(),
    };
  };
}
