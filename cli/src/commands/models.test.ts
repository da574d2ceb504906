import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { listModels, type PullProgress } from "@hydrogen/models";
import { createPullProgress, progressLine } from "./models.ts";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
const dir = await mkdtemp(join(tmpdir(), "hydrogen-cli-models-"));
after(() => rm(dir, { recursive: true, force: true }));

const header = JSON.stringify({ weight: { dtype: "U8", shape: [4], data_offsets: [0, 4] } });
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(header.length));
const weights = Buffer.concat([length, Buffer.from(header), Buffer.from([1, 2, 3, 4])]);
const hash = createHash("sha256").update(weights).digest("hex");

const authorizations: (string | undefined)[] = [];
const server = createServer((request, response) => {
  authorizations.push(request.headers.authorization);
  if (request.url!.startsWith("/api/")) {
    const lfs = { sha256: hash, size: weights.length };
    const siblings = [{ rfilename: "lora.safetensors", size: weights.length, lfs }];
    response.end(JSON.stringify({ sha: "a".repeat(40), siblings }));
  } else response.end(weights);
});
await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
after(() => server.close());
const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function hydrogen(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { ...process.env, HYDROGEN_MODELS: dir, HF_ENDPOINT: endpoint, HF_TOKEN: "hf-secret" };
  return new Promise((done) =>
    execFile(process.execPath, [main, "models", ...args], { env }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    ),
  );
}

test("pulls, lists, verifies and removes a model", async () => {
  const pulled = await hydrogen("pull", "Artist/Style");
  assert.equal(pulled.code, 0, pulled.err);
  assert.equal(pulled.out.trim(), join(dir, "artist--style"));
  assert.match(pulled.err, /fetching {2}0 B of 70 B \(0 %\)[\s\S]*complete {2}70 B of 70 B \(100 %\)/);
  assert.ok(authorizations.every((value) => value === "Bearer hf-secret"));
  assert.ok(!`${pulled.out}${pulled.err}`.includes("hf-secret"));
  assert.match(
    (await hydrogen("list")).out,
    /emoji-64 .*ships with the project\nartist\/style +[\d.]+ (KiB|B) /,
  );
  await writeFile(join(dir, "artist--style", "lora.safetensors"), "spoilt");
  const checked = await hydrogen("verify");
  assert.equal(checked.code, 1);
  assert.match(checked.out, /✓ hydrogen-network\/emoji-64\n✗ artist\/style: MODEL_DAMAGED/);
  assert.equal((await hydrogen("rm", "artist/style")).code, 0);
  assert.deepEqual(await listModels({ modelsDirs: [dir] }), []);
});

const progress: PullProgress = {
  phase: "downloading",
  doneBytes: 432_013_312,
  totalBytes: 1_717_986_918,
  bytesPerSec: 32_505_856,
  etaSec: 40,
};

test("tells bytes, speed and the time to go", () => {
  assert.equal(progressLine(progress), "fetching  412.0 MiB of 1.6 GiB (25 %)  31.0 MiB/s  40.0 s to go");
  assert.equal(
    progressLine({ ...progress, phase: "planning", doneBytes: 0, totalBytes: 0, etaSec: undefined }),
    "asking what it consists of",
  );
});

test("redraws one line on a terminal, and says every tenth once elsewhere", () => {
  const written: string[] = [];
  const write = (text: string) => written.push(text) > 0;
  const bar = createPullProgress({ write: write as never, isTTY: true, columns: 20 });
  bar.show(progress);
  bar.end();
  bar.end();
  assert.deepEqual(written, [`\r\x1b[2K${progressLine(progress).slice(0, 19)}`, "\n"]);
  written.length = 0;
  const lines = createPullProgress({ write: write as never, isTTY: false, columns: 80 });
  for (let percent = 0; percent <= 100; percent++)
    lines.show({ ...progress, doneBytes: percent * 1_000, totalBytes: 100_000 });
  assert.equal(written.length, 11);
});
