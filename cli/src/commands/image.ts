/** `hydrogen image "a red apple"`: one image from a running network. */
import { constants } from "node:fs";
import { access, mkdir, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { readApiKey, readNetwork } from "@hydrogen/devnet";
import { createBridgeClient } from "@hydrogen/sdk";
import { formatDuration } from "@hydrogen/std";
import type { Command } from "commander";
import { cliError } from "../errors.ts";
import { type GeneratedImages, generateImages, type ImageRequest } from "../generate.ts";
import { integerIn, numberIn, randomSeed } from "../options.ts";
import { dataDirOf } from "../paths.ts";
import { createTaskProgress } from "../progress.ts";

export type ImageOptions = {
  out?: string;
  seed?: number;
  negative?: string;
  model?: string;
  steps?: number;
  cfg?: number;
  width?: number;
  height?: number;
  images: number;
};

/** The options that say what to draw; `up --once` takes the same. */
export function addImageOptions(command: Command): Command {
  return command
    .option("--out <file>", "where the PNG goes; with several images, -1, -2 … are added")
    .option(
      "--seed <number>",
      "the same seed gives the same image (default: random)",
      integerIn(0, 2_147_483_647),
    )
    .option("--negative <text>", "what should not be in the image")
    .option("--model <id>", "model (default: the first one on offer)")
    .option("--steps <number>", "denoising steps, 1 to 100 (default: the model's)", integerIn(1, 100))
    .option(
      "--cfg <number>",
      "how strictly the prompt is followed, 0 to 20 (default: the model's)",
      numberIn(0, 20),
    )
    .option("--width <px>", "a multiple of 8 (default: the model's)", integerIn(8, 2048))
    .option("--height <px>", "a multiple of 8 (default: the model's)", integerIn(8, 2048))
    .option("--images <number>", "how many, 1 to 10", integerIn(1, 10), 1);
}

export function imageCommand(command: Command, signal: AbortSignal): void {
  addImageOptions(
    command
      .command("image")
      .description("generate an image on a running network")
      .argument("<prompt>", "what should be in the image"),
  )
    .option("--receipt <file>", "also write the receipt, as JSON")
    .option("--data <dir>", "directory of the network (default: $HYDROGEN_HOME or .hydrogen)")
    .option("--bridge <url>", "another bridge than the local network's; needs $HYDROGEN_API_KEY")
    .addHelpText("after", '\nExample:\n  $ hydrogen image "a red apple" --seed 7 --out apple.png')
    .action(
      async (
        prompt: string,
        options: ImageOptions & { receipt?: string; data?: string; bridge?: string },
      ) => {
        const client = bridgeOf(options);
        const out = options.out ?? `${fileNameOf(prompt)}.png`;
        await checkWritable(out);
        const startedMs = performance.now();
        const progress = createTaskProgress(process.stderr);
        const made = await generateImages(client, requestOf(prompt, options), {
          onTask: progress.show,
          signal,
        }).finally(progress.end);
        const files = await saveImages(made, out);
        if (options.receipt !== undefined) await save(options.receipt, made.receiptText);
        for (const file of files) console.log(file);
        console.error(
          `Task ${made.task.task_id}, verified by the chain, in ${formatDuration(performance.now() - startedMs)}.`,
        );
      },
    );
}

export function requestOf(prompt: string, options: ImageOptions): ImageRequest {
  return {
    prompt,
    seed: options.seed ?? randomSeed(),
    numImages: options.images,
    ...(options.negative === undefined ? {} : { negativePrompt: options.negative }),
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.steps === undefined ? {} : { steps: options.steps }),
    ...(options.cfg === undefined ? {} : { cfg: options.cfg }),
    ...(options.width === undefined ? {} : { widthPx: options.width }),
    ...(options.height === undefined ? {} : { heightPx: options.height }),
  };
}

/** Writes the images and returns the files' absolute paths. */
export async function saveImages(made: GeneratedImages, out: string): Promise<string[]> {
  const files: string[] = [];
  for (const [index, image] of made.images.entries()) {
    const name = made.images.length === 1 ? out : out.replace(/(\.[^./\\]*)?$/, `-${index + 1}$1`);
    files.push(await save(name, image));
  }
  return files;
}

/** Whether the image can be saved is known before it is paid for. @throws CLI_OUTPUT_UNWRITABLE */
export async function checkWritable(out: string): Promise<void> {
  const file = resolve(out);
  try {
    await mkdir(dirname(file), { recursive: true });
    await access(dirname(file), constants.W_OK);
    if ((await stat(file).catch(() => undefined))?.isDirectory()) throw new Error("it is a directory");
  } catch (cause) {
    throw cliError("CLI_OUTPUT_UNWRITABLE", { path: file }, cause);
  }
}

export async function save(path: string, content: string | Uint8Array): Promise<string> {
  const absolute = resolve(path);
  try {
    await mkdir(dirname(absolute), { recursive: true });
    await writeFile(absolute, content);
  } catch (cause) {
    throw cliError("CLI_OUTPUT_UNWRITABLE", { path: absolute }, cause);
  }
  return absolute;
}

function bridgeOf(options: { data?: string; bridge?: string }) {
  if (options.bridge !== undefined) {
    const apiKey = process.env.HYDROGEN_API_KEY;
    return createBridgeClient({ url: options.bridge, ...(apiKey === undefined ? {} : { apiKey }) });
  }
  const dataDir = dataDirOf(options.data);
  return createBridgeClient({ url: readNetwork(dataDir).bridgeUrl, apiKey: readApiKey(dataDir) });
}

/** "A red apple!" → "a-red-apple". */
export function fileNameOf(prompt: string): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.join("-").slice(0, 60) || "image";
}
