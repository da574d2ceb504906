/** `hydrogen doctor`: what this machine has and lacks for running a network. */
import { statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { type NetworkFile, readNetwork } from "@hydrogen/devnet";
import { listModels, resolveModel } from "@hydrogen/models";
import { errorSummary, isHydrogenError } from "@hydrogen/std";
import type { Command } from "commander";
import { dataDirOf, repositoryRoot, shippedModelsDir } from "../paths.ts";

type Finding = { level: "good" | "note" | "bad"; text: string };

const good = (text: string): Finding => ({ level: "good", text });
const note = (text: string): Finding => ({ level: "note", text });
const bad = (text: string): Finding => ({ level: "bad", text });
const marks = { good: "✓", note: "–", bad: "✗" };

const neededMemoryBytes = 2 * 2 ** 30;
const neededDiskBytes = 2 ** 30;

export function doctorCommand(command: Command): void {
  command
    .command("doctor")
    .description("say what this machine has and lacks")
    .option("--data <dir>", "directory of the network (default: $HYDROGEN_HOME or .hydrogen)")
    .action(async (options: { data?: string }) => {
      const findings = [
        nodejs(),
        processor(),
        memory(),
        await disk(),
        ...(await engine()),
        ...(await models()),
        ...(await network(dataDirOf(options.data))),
      ];
      for (const { level, text } of findings) console.log(`${marks[level]} ${text}`);
      const lacking = findings.filter(({ level }) => level === "bad").length;
      console.log(
        lacking === 0
          ? "\nThis machine can run a network."
          : `\n${lacking} thing${lacking === 1 ? "" : "s"} missing.`,
      );
      process.exitCode = lacking === 0 ? 0 : 1;
    });
}

function nodejs(): Finding {
  const text = `Node.js ${process.versions.node} on ${process.platform}-${process.arch}`;
  return Number(process.versions.node.split(".")[0]) >= 24
    ? good(text)
    : bad(`${text}; 24 is needed: run npm ci`);
}

function processor(): Finding {
  return good(`${availableParallelism()} CPU cores (${cpus()[0]?.model ?? "unknown"})`);
}

function memory(): Finding {
  const text = `${gib(freemem())} of ${gib(totalmem())} GiB of memory free`;
  return freemem() >= neededMemoryBytes ? good(text) : note(`${text}; three nodes and the rest want about 2`);
}

async function disk(): Promise<Finding> {
  const { bavail, bsize } = await statfs(repositoryRoot);
  const text = `${gib(bavail * bsize)} GiB of disk free`;
  return bavail * bsize >= neededDiskBytes ? good(text) : bad(`${text}; 1 is needed`);
}

async function engine(): Promise<Finding[]> {
  try {
    const { enginePlatform } = await import("@hydrogen/diffusion");
    const { runtimeVersion, providers } = enginePlatform();
    return [
      good(`ONNX Runtime ${runtimeVersion}; tasks run on the CPU (it also knows ${others(providers)})`),
    ];
  } catch (error) {
    return [bad(`the diffusion engine does not load: ${errorSummary(error)}`)];
  }
}

function others(providers: readonly string[]): string {
  return providers.filter((name) => name !== "cpu").join(", ") || "nothing else";
}

async function models(): Promise<Finding[]> {
  const listed = await listModels({ modelsDirs: [shippedModelsDir] });
  if (listed.length === 0) return [bad("no model in models/")];
  return Promise.all(
    listed.map(async (model) => {
      try {
        await resolveModel(model.id, { modelsDirs: [shippedModelsDir] });
        return good(`model ${model.id}, ${model.defaults.widthPx} × ${model.defaults.heightPx}, intact`);
      } catch (error) {
        return bad(`model ${model.id}: ${errorSummary(error)}`);
      }
    }),
  );
}

async function network(dataDir: string): Promise<Finding[]> {
  let found: NetworkFile;
  try {
    found = readNetwork(dataDir);
  } catch (error) {
    if (isHydrogenError(error, "DEVNET_NO_NETWORK"))
      return [note(`no network in ${dataDir} yet: npm start makes one`)];
    throw error;
  }
  const parts = [
    { name: "relay", url: found.relayUrl },
    { name: "bridge", url: found.bridgeUrl },
    ...found.nodes.map(({ name, apiUrl }) => ({ name, url: apiUrl })),
  ];
  const states = await Promise.all(parts.map(async (part) => ({ ...part, up: await isUp(part.url) })));
  if (states.every(({ up }) => !up))
    return [note(`the network in ${dataDir} is stopped: npm start takes it up`)];
  return states.map(({ name, url, up }) =>
    up ? good(`${name} on ${url}`) : bad(`${name} does not answer on ${url}`),
  );
}

async function isUp(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}
