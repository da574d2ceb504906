/** `hydrogen models`: fetch, list, check and remove models. */
import { join, resolve } from "node:path";
import {
  createModelStore,
  listModels,
  type ModelStore,
  type PullProgress,
  resolveModel,
  type StoredModel,
} from "@hydrogen/models";
import { errorSummary, formatDuration, systemClock } from "@hydrogen/std";
import type { Command } from "commander";
import { numberIn } from "../options.ts";
import { dataDirOf, shippedModelsDir } from "../paths.ts";

type StoreFlags = {
  dir?: string;
  endpoint?: string;
  quota?: number;
  allowHost?: string[];
  trustOrigin?: string[];
  offline?: boolean;
};
type RefFlags = { variant?: string; revision?: string; file?: string; sha256?: string };

export function modelsCommand(command: Command, signal: AbortSignal): void {
  const models = command.command("models").description("fetch, list, check and remove models");
  addDir(
    addRef(models.command("pull").description("fetch a model, or go on where an earlier pull stopped"))
      .option("--sha256 <hash>", "what the file must hash to")
      .option("--endpoint <url>", "a mirror of Hugging Face (default: $HF_ENDPOINT)")
      .option("--quota <GiB>", "for all models together; unused ones make room", numberIn(0.001, 1_000_000))
      .option("--allow-host <host...>", "hosts to fetch from besides Hugging Face's and Civitai's")
      .option("--trust-origin <url...>", "origins that may be http or in a private network")
      .option("--offline", "only check what is here"),
  )
    .addHelpText(
      "after",
      [
        "\nTokens come from $HF_TOKEN and $CIVITAI_TOKEN, proxies from $HTTPS_PROXY, $HTTP_PROXY and $NO_PROXY.",
        "\nExamples:",
        "  $ hydrogen models pull stable-diffusion-v1-5/stable-diffusion-v1-5 --variant fp16",
        "  $ hydrogen models pull https://civitai.com/api/download/models/128713#sha256=…",
      ].join("\n"),
    )
    .action(async (name: string, flags: StoreFlags & RefFlags) => {
      const store = storeOf(flags);
      const progress = createPullProgress(process.stderr);
      try {
        const model = await store.pull({ name, ...flags }, { onProgress: progress.show, signal });
        progress.end();
        console.log(model.dir);
      } finally {
        progress.end();
        store.close();
      }
    });
  addDir(models.command("list").alias("ls").description("say what is here")).action(
    async (flags: StoreFlags) => {
      const shipped = await listModels({ modelsDirs: [shippedModelsDir] });
      const rows = [
        ...shipped.map(({ id }) => [id, "", "", "ships with the project"]),
        ...(await storeOf(flags).list()).map(rowOf),
      ];
      for (const line of columns(rows)) console.log(line);
    },
  );
  addDir(addRef(models.command("verify").description("compare every file with its SHA-256"), true)).action(
    async (name: string | undefined, flags: StoreFlags & RefFlags) => {
      for (const check of await checksOf(storeOf(flags), name, flags, signal)) {
        try {
          await check.run();
          console.log(`✓ ${check.id}`);
        } catch (error) {
          signal.throwIfAborted();
          console.log(`✗ ${check.id}: ${errorSummary(error)}`);
          process.exitCode = 1;
        }
      }
    },
  );
  addDir(addRef(models.command("rm").description("remove a model, or what has arrived of it"))).action(
    async (name: string, flags: StoreFlags & RefFlags) => {
      await storeOf(flags).remove({ name, ...flags });
    },
  );
}

function addDir(command: Command): Command {
  return command.option(
    "--dir <dir>",
    "where models are kept (default: $HYDROGEN_MODELS, or models in $HYDROGEN_HOME or .hydrogen)",
  );
}

function addRef(command: Command, optional = false): Command {
  return command
    .argument(
      optional ? "[model]" : "<model>",
      "owner/name or owner/name@revision on Hugging Face, or an https address",
    )
    .option("--variant <name>", "such as fp16")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--file <path>", "one file of the repository");
}

/** The directory that `--dir` and the environment name. */
export function modelsDirOf(option: string | undefined): string {
  return resolve(option ?? process.env.HYDROGEN_MODELS ?? join(dataDirOf(undefined), "models"));
}

function storeOf(flags: StoreFlags): ModelStore {
  const { HF_ENDPOINT, HF_TOKEN, CIVITAI_TOKEN } = process.env;
  return createModelStore(
    {
      dir: modelsDirOf(flags.dir),
      endpoint: flags.endpoint ?? (HF_ENDPOINT || undefined),
      token: HF_TOKEN || undefined,
      hostTokens: CIVITAI_TOKEN ? { "civitai.com": CIVITAI_TOKEN, "civitai.red": CIVITAI_TOKEN } : {},
      quotaBytes: flags.quota === undefined ? undefined : Math.round(flags.quota * 2 ** 30),
      additionalHosts: flags.allowHost,
      trustedOrigins: flags.trustOrigin,
      offline: flags.offline,
      proxy: process.env,
    },
    { clock: systemClock },
  );
}

async function checksOf(
  store: ModelStore,
  name: string | undefined,
  flags: RefFlags,
  signal: AbortSignal,
): Promise<{ id: string; run: () => Promise<unknown> }[]> {
  if (name !== undefined) return [{ id: name, run: () => store.verify({ name, ...flags }, { signal }) }];
  const shipped = await listModels({ modelsDirs: [shippedModelsDir] });
  const stored = (await store.list()).filter(({ state }) => state === "ready");
  return [
    ...shipped.map(({ id }) => ({
      id,
      run: () => resolveModel(id, { modelsDirs: [shippedModelsDir], signal }),
    })),
    ...stored.map((model) => ({
      id: formOf(model),
      run: () => store.verify({ name: model.id, ...model.source }, { signal }),
    })),
  ];
}

/** "owner/name@v1 fp16 file". */
function formOf({ id, source }: Pick<StoredModel, "id" | "source">): string {
  const revision = source?.revision && source.revision !== "main" ? `@${source.revision}` : "";
  return [`${id}${revision}`, source?.variant, source?.file].filter(Boolean).join(" ");
}

function rowOf(model: StoredModel): string[] {
  const state = model.state === "partial" ? "partly here" : model.inUse ? "in use" : "";
  const used = new Date(model.lastUsedMs).toISOString().slice(0, 16).replace("T", " ");
  const from = model.id.startsWith("url--") ? (model.source?.from ?? "") : "";
  return [formOf(model), formatBytes(model.bytes), used, [state, from].filter(Boolean).join("  ")];
}

function columns(rows: readonly string[][]): string[] {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, at) => Math.max(cell.length, widest[at] ?? 0)),
    [],
  );
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join("  ")
      .trimEnd(),
  );
}

const phaseTexts: Record<PullProgress["phase"], string> = {
  waiting: "another process is fetching it",
  planning: "asking what it consists of",
  downloading: "fetching",
  verifying: "checking what is here",
  done: "complete",
};

/** A bar that redraws itself on a terminal; elsewhere a line per phase and per tenth. */
export function createPullProgress(stream: Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns">) {
  let said = "";
  let drawn = false;
  return {
    show: (progress: PullProgress): void => {
      if (stream.isTTY) {
        stream.write(`\r\x1b[2K${progressLine(progress).slice(0, (stream.columns ?? 80) - 1)}`);
        drawn = true;
        return;
      }
      const tenth = progress.totalBytes > 0 ? Math.floor((10 * progress.doneBytes) / progress.totalBytes) : 0;
      const now = `${progress.phase} ${tenth}`;
      if (now === said) return;
      said = now;
      stream.write(`${progressLine(progress)}\n`);
    },
    end: (): void => {
      if (drawn) stream.write("\n");
      drawn = false;
    },
  };
}

/** "fetching  412.0 MiB of 1.6 GiB (25 %)  31.2 MiB/s  40.0 s to go". */
export function progressLine({ phase, doneBytes, totalBytes, bytesPerSec, etaSec }: PullProgress): string {
  const parts = [phaseTexts[phase]];
  if (totalBytes > 0) {
    const percent = Math.floor((100 * doneBytes) / totalBytes);
    parts.push(`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} (${percent} %)`);
  }
  if (phase === "downloading" && bytesPerSec > 0) parts.push(`${formatBytes(bytesPerSec)}/s`);
  if (phase === "downloading" && etaSec !== undefined) parts.push(`${formatDuration(etaSec * 1000)} to go`);
  return parts.join("  ");
}

function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}
