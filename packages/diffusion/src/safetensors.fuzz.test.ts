/** Hostile headers: whatever stands in a file, reading it ends with its tensors or with a coded error. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { parseHeader, readSafetensors, type Tensors } from "./safetensors.ts";

const rounds = Number(process.env.FUZZ_RUNS ?? 20_000);
const seed = Number(process.env.FUZZ_SEED ?? 20_260_101);

const directory = await mkdtemp(join(tmpdir(), "safetensors-fuzz-"));
after(() => rm(directory, { recursive: true }));

/** Marsaglia's xorshift: numbers from 0 up to below `limit`. */
function createDice(start: number): (limit: number) => number {
  let state = start | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const valid = {
  __metadata__: { format: "pt", "modelspec.prediction_type": "v" },
  "model.diffusion_model.out.2.weight": { dtype: "F16", shape: [4, 32, 3, 3], data_offsets: [0, 2304] },
  "model.diffusion_model.out.2.bias": { dtype: "F32", shape: [4], data_offsets: [2304, 2320] },
  scale: { dtype: "I64", shape: [], data_offsets: [2320, 2328] },
  empty: { dtype: "BF16", shape: [0, 7], data_offsets: [2328, 2328] },
};
const DATA_BYTES = 2328;

const WORDS = [
  '"F64"', '"shape"', '"data_offsets"', '"__proto__"', '"constructor"', '"\\u0000"', '"\\ud800"', "null", "true", "{}", "[]",
  "-1", "0", "1e308", "-0", "0.5", "9007199254740993", "18446744073709551615", "1e999", "[0,2304]", "{", "}", "[", "]", ",", ":", '"', "\\",
].map((word) => Buffer.from(word)); // biome-ignore format: a list of words

/** One change to the bytes of a header. */
function mutate(header: Uint8Array, dice: (limit: number) => number): Uint8Array {
  const at = dice(header.length + 1);
  const length = dice(12);
  const cut = (insert: Uint8Array, drop: number) =>
    Buffer.concat([header.subarray(0, at), insert, header.subarray(Math.min(at + drop, header.length))]);
  switch (dice(10)) {
    case 0:
      return cut(Buffer.of(dice(256)), 1);
    case 1:
      return cut(Buffer.alloc(0), length);
    case 2:
      return cut(WORDS[dice(WORDS.length)]!, length);
    case 3: {
      // A number becomes another.
      const text = Buffer.from(header).toString("latin1");
      const numbers = [...text.matchAll(/\d+/g)];
      const one = numbers[dice(Math.max(numbers.length, 1))];
      if (one === undefined) return cut(Buffer.of(0x30), 0);
      const other = [dice(10), dice(1 << 20), 2 ** 32, 2 ** 53, -1, 2304][dice(6)]!;
      return Buffer.from(text.slice(0, one.index) + other + text.slice(one.index + one[0].length), "latin1");
    }
    case 4: {
      // A part of it comes twice.
      const from = dice(header.length);
      return cut(header.subarray(from, from + dice(80)), 0);
    }
    case 5:
      return cut(Buffer.alloc(dice(200), [0x5b, 0x7b, 0x22, 0x20, 0x30][dice(5)]), 0);
    case 6:
      return header.subarray(0, at);
    case 7:
    case 8:
      return mutateEntry(header, dice);
    default:
      return cut(Buffer.of(dice(256), dice(256), dice(256)), 3);
  }
}

/** One change to what a header says, which stays JSON; the header itself if it is none any more. */
function mutateEntry(header: Uint8Array, dice: (limit: number) => number): Uint8Array {
  let parsed: Record<string, { shape?: unknown; data_offsets?: unknown }>;
  try {
    parsed = JSON.parse(Buffer.from(header).toString());
  } catch {
    return header;
  }
  const names = Object.keys(parsed ?? {});
  const name = names[dice(Math.max(names.length, 1))];
  const entry = name === undefined ? undefined : parsed[name];
  if (name === undefined || typeof entry !== "object" || entry === null) return header;
  const size = [0, 1, 4, DATA_BYTES, 2 ** 31, Number.MAX_SAFE_INTEGER][dice(6)]!;
  const other = parsed[names[dice(names.length)]!];
  switch (dice(6)) {
    case 0:
      delete parsed[name];
      break;
    case 1:
      parsed[`${name}.${dice(100)}`] = entry;
      break;
    case 2:
      entry.shape = [size, dice(8)];
      break;
    case 3:
      entry.data_offsets = [dice(DATA_BYTES), size];
      break;
    case 4:
      parsed[name] = [null, 7, "F32", [], {}][dice(5)] as never;
      break;
    default:
      entry.data_offsets = other?.data_offsets;
  }
  return Buffer.from(JSON.stringify(parsed));
}

/** Whether what was accepted describes a file of this size without overlap. */
function assertSound(tensors: Tensors, headerBytes: number, size: number): void {
  let end = 8 + headerBytes;
  for (const info of [...tensors.values()].toSorted(
    (a, b) => a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes,
  )) {
    assert.equal(info.offsetBytes, end);
    assert.ok(info.shape.every((count) => Number.isSafeInteger(count) && count >= 0));
    end += info.lengthBytes;
  }
  assert.equal(end, size);
}

function assertCoded(error: unknown): void {
  assert.ok(isHydrogenError(error, "MODEL_WEIGHTS_INVALID"), `not a coded error: ${error}`);
  assert.ok(error.message.length < 2000, "the error repeats the file");
}

test(`${rounds} mutated headers (seed ${seed}) are read or refused with a code`, () => {
  const dice = createDice(seed);
  const original = Buffer.from(JSON.stringify(valid));
  const heapBefore = process.memoryUsage().heapUsed;
  let [accepted, refused] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    let header: Uint8Array = original;
    for (let i = 0; i <= dice(4); i++) header = mutate(header, dice);
    const size = 8 + header.length + DATA_BYTES;
    try {
      assertSound(parseHeader(header, size, "x").tensors, header.length, size);
      accepted++;
    } catch (error) {
      assertCoded(error);
      refused++;
    }
  }
  // Both happen, or the mutations are of no use.
  assert.ok(accepted > rounds / 200 && refused > rounds / 2, `${accepted} read, ${refused} refused`);
  const grownBytes = process.memoryUsage().heapUsed - heapBefore;
  assert.ok(grownBytes < 200e6, `the heap grew by ${grownBytes} bytes`);
});

test(`mutated files on disk (seed ${seed}) are read or refused with a code`, async () => {
  const dice = createDice(seed + 1);
  const header = Buffer.from(JSON.stringify(valid));
  const path = join(directory, "mutated.safetensors");
  for (let round = 0; round < Math.min(rounds / 100, 500); round++) {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(header.length));
    let file: Uint8Array = Buffer.concat([prefix, mutate(header, dice), Buffer.alloc(DATA_BYTES)]);
    if (dice(3) === 0) file[dice(8)] = dice(256);
    if (dice(4) === 0) file = file.subarray(0, dice(file.length));
    await writeFile(path, file);
    await readSafetensors(path).catch(assertCoded);
  }
});

test("a header that would take much more memory than its bytes is refused before it is parsed", () => {
  const peakBytes = () => process.resourceUsage().maxRSS * 1024;
  const levels = 2_000_000;
  const header = Buffer.from(`{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`);
  const before = peakBytes();
  assert.throws(
    () => parseHeader(header, 8 + header.length, "x"),
    (error) => {
      assertCoded(error);
      return true;
    },
  );
  const grownBytes = peakBytes() - before;
  assert.ok(grownBytes < 40e6, `memory grew by ${grownBytes} bytes`);
});
