/**
 * How long one image takes, from prompt to verified file, and where the time goes: the whole network on this machine,
 * three honest nodes, the shipped model, tasks one after another after a warm-up.
 *
 * Usage: node benchmarks/latency.ts [tasks]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readApiKey, startDevnet } from "@hydrogen/devnet";
import { parseReceipt } from "@hydrogen/protocol";
import { createBridgeClient } from "@hydrogen/sdk";
import { sdTaskArgsFor } from "@hydrogen/tasks";
import { silentLogger } from "@hydrogen/telemetry";

const tasks = Number(process.argv[2] ?? 10);
const dataDir = mkdtempSync(join(tmpdir(), "hydrogen-bench-"));
const modelsDirs = [fileURLToPath(new URL("../models", import.meta.url))];
const devnet = await startDevnet({ dataDir, modelsDirs, anyPort: true }, { log: silentLogger });
const rows: Record<string, number>[] = [];
let gas = 0n;
try {
  const client = createBridgeClient({ url: devnet.network.bridgeUrl, apiKey: readApiKey(dataDir) });
  const [model] = await client.models();
  for (let seed = 0; seed <= tasks; seed++) {
    const { text } = sdTaskArgsFor({ ...model!.defaults, model: model!.id, prompt: "a red apple", seed });
    const startedMs = performance.now();
    const { id } = await client.createTask({ taskType: 0, taskArgs: text });
    for await (const task of client.follow(id))
      if (task.status === "failed") throw new Error(task.error?.message);
    const totalMs = performance.now() - startedMs;
    const receipt = parseReceipt(await client.getReceipt(id));
    if (seed > 0) rows.push({ ...receipt.stagesMs, total: totalMs }); // the first one loads the model
    gas = receipt.gasTotal;
  }
} finally {
  await devnet.close();
  rmSync(dataDir, { recursive: true });
}
console.log(`stage             median ms   max ms   (${tasks} tasks, ${gas} gas each)`);
for (const stage of Object.keys(rows[0]!)) {
  const values = rows.map((row) => row[stage] ?? 0).sort((a, b) => a - b);
  const text = (ms: number) => ms.toFixed(0).padStart(9);
  console.log(`${stage.padEnd(16)} ${text(values[values.length >> 1]!)} ${text(values.at(-1)!)}`);
}
