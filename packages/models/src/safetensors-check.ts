/** A first look at weights: whether they are safetensors at all. The engine reads the rest. */
import { open } from "node:fs/promises";

export type WeightFormat = "safetensors" | "pickle" | "page" | "unknown";

/** What the first bytes of a file look like; 9 are enough. */
export function formatOf(head: Uint8Array, sizeBytes: number): WeightFormat {
  const text = Buffer.from(head).toString("latin1");
  if (head.length >= 9) {
    const headerBytes = Buffer.from(head).readBigUInt64LE(0);
    if (
      text[8] === "{" &&
      headerBytes >= 2n &&
      headerBytes <= 100_000_000n &&
      Number(headerBytes) + 8 <= sizeBytes
    )
      return "safetensors";
  }
  // A zip (torch since 1.6), or a pickle of protocol 2 to 5.
  if (text.startsWith("PK\x03\x04")) return "pickle";
  if (head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5) return "pickle";
  return /^\s*<(!|html)/i.test(text) ? "page" : "unknown";
}

export async function readHead(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** @returns the names of the tensors, and of the metadata; undefined unless the header can be read */
export async function readTensorNames(path: string): Promise<string[] | undefined> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const head = Buffer.alloc(9);
    await file.read(head, 0, 9, 0);
    if (formatOf(head, size) !== "safetensors") return undefined;
    const header = Buffer.alloc(Number(head.readBigUInt64LE(0)));
    await file.read(header, 0, header.length, 8);
    const parsed: unknown = JSON.parse(header.toString("utf8"));
    return typeof parsed === "object" && parsed !== null ? Object.keys(parsed) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}
