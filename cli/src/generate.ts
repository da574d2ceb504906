/** From a prompt to verified images, through a bridge. */
import { type BridgeClient, type BridgeModel, type BridgeTask, isFinal } from "@hydrogen/sdk";
import { deserializeError } from "@hydrogen/std";
import { sdTaskArgsFor } from "@hydrogen/tasks";
import { cliError } from "./errors.ts";

export type ImageRequest = {
  prompt: string;
  negativePrompt?: string;
  model?: string;
  seed: number;
  steps?: number;
  cfg?: number;
  widthPx?: number;
  heightPx?: number;
  numImages: number;
};

export type GeneratedImages = { task: BridgeTask; images: Uint8Array[]; receiptText: string };

/**
 * Submits the request, follows it, and fetches what it made.
 *
 * @throws the coded error of the failed task, or of the bridge
 */
export async function generateImages(
  client: BridgeClient,
  request: ImageRequest,
  hooks: { onTask: (task: BridgeTask) => void; signal: AbortSignal },
): Promise<GeneratedImages> {
  const { signal } = hooks;
  const taskArgs = taskArgsOf(request, await client.models(signal));
  let task = await client.createTask({ taskType: 0, taskArgs }, signal);
  try {
    for await (const update of client.follow(task.id, signal)) {
      task = update;
      hooks.onTask(task);
    }
  } catch (error) {
    if (signal.aborted && !isFinal(task.status)) await client.cancelTask(task.id).catch(() => undefined);
    throw error;
  }
  if (task.status !== "done")
    throw task.error === null
      ? cliError("CLI_TASK_FAILED", { status: task.status })
      : deserializeError(task.error);
  const images: Uint8Array[] = [];
  for (let index = 0; index < task.num_images; index++)
    images.push(await client.getImage(task.id, index, signal));
  return { task, images, receiptText: await client.getReceipt(task.id, signal) };
}

/** What the schema's own documents use where neither the caller nor a model on offer says otherwise. */
const schemaDefaults = { widthPx: 512, heightPx: 512, steps: 25, cfg: 5 };

function taskArgsOf(request: ImageRequest, models: readonly BridgeModel[]): string {
  const model = request.model === undefined ? models[0] : models.find(({ id }) => id === request.model);
  // A model that is not on offer is left to the bridge, whose answer says what is.
  const id = model?.id ?? request.model;
  if (id === undefined) throw cliError("CLI_NO_MODEL");
  return sdTaskArgsFor({ ...(model?.defaults ?? schemaDefaults), ...request, model: id }).text;
}
