import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readSafetensors } from "./safetensors.ts";

const directory = await mkdtemp(join(tmpdir(), "safetensors-"));
after(() => rm(directory, { recursive: true }));
let files = 0;

async function written(header: unknown, dataBytes: number, headerBytes?: number | bigint): Promise<string> {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(headerBytes ?? json.length));
  const path = join(directory, `${files++}.safetensors`);
  await writeFile(path, Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]));
  return path;
}

const tensor = (dtype: string, shape: unknown, begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

async function refuses(path: string, reason: RegExp): Promise<void> {
  await assert.rejects(
    readSafetensors(path),
    (error: { code: string; failureClass: string; message: string }) => {
      assert.equal(error.code, "MODEL_WEIGHTS_INVALID");
      assert.equal(error.failureClass, "model_invalid");
      assert.match(error.message, reason);
      return true;
    },
  );
}

test("finds every tensor at its place in the file", async () => {
  const header = {
    __metadata__: { format: "pt" },
    b: tensor("F16", [2, 3], 16, 28),
    a: tensor("F32", [4], 0, 16),
    scalar: tensor("I64", [], 28, 36),
    empty: tensor("F32", [0, 7], 28, 28),
  };
  const path = await written(header, 36);
  const tensors = await readSafetensors(path);
  const start = 8 + JSON.stringify(header).length;
  assert.deepEqual(Object.fromEntries(tensors), {
    b: { dtype: "F16", shape: [2, 3], path, offsetBytes: start + 16, lengthBytes: 12 },
    a: { dtype: "F32", shape: [4], path, offsetBytes: start, lengthBytes: 16 },
    scalar: { dtype: "I64", shape: [], path, offsetBytes: start + 28, lengthBytes: 8 },
    empty: { dtype: "F32", shape: [0, 7], path, offsetBytes: start + 28, lengthBytes: 0 },
  });
});

test("refuses a file that is too short to have a header", async () => {
  const path = await written({}, 0);
  await truncate(path, 5);
  await refuses(path, /shorter/);
});

test("refuses a header longer than the file or the format allows, without reading it", async () => {
  await refuses(await written({}, 0, 1000), /header of 1000 bytes/);
  await refuses(await written({}, 0, 2n ** 63n), /header of 9223372036854/);
});

test("refuses a header that is not a JSON object", async () => {
  await refuses(await written("{", 0), /not a JSON object/);
  await refuses(await written("[]", 0), /not a JSON object/);
  await refuses(await written("\u00ff\u00fe", 0, 1), /not a JSON object/);
});

test("refuses a tensor that is not described properly", async () => {
  await refuses(await written({ a: 7 }, 0), /not an object/);
  await refuses(await written({ a: tensor("F33", [1], 0, 4) }, 4), /dtype/);
  await refuses(await written({ a: tensor("toString", [1], 0, 4) }, 4), /dtype/);
  await refuses(await written({ a: tensor("F32", [-1], 0, 4) }, 4), /shape/);
  await refuses(await written({ a: tensor("F32", "1", 0, 4) }, 4), /shape/);
  await refuses(await written({ a: { ...tensor("F32", [1], 0, 4), data_offsets: [0] } }, 4), /data_offsets/);
  await refuses(
    await written({ a: { ...tensor("F32", [1], 0, 4), data_offsets: [0, 1.5] } }, 4),
    /data_offsets/,
  );
});

test("refuses a shape whose product does not fit its bytes", async () => {
  await refuses(await written({ a: tensor("F32", [2], 0, 4) }, 4), /4 bytes for a F32 tensor of 8/);
  await refuses(await written({ a: tensor("F32", [2 ** 30, 2 ** 30, 2 ** 30], 0, 4) }, 4), /too large/);
});

test("refuses tensors that overlap, leave gaps, or lie outside the file", async () => {
  const first = tensor("F32", [2], 0, 8);
  await refuses(await written({ a: first, b: tensor("F32", [2], 4, 12) }, 12), /overlaps/);
  await refuses(await written({ a: first, b: tensor("F32", [1], 12, 16) }, 16), /gap/);
  await refuses(await written({ a: first }, 4), /end at byte/);
  await refuses(await written({ a: first }, 12), /end at byte/);
});
