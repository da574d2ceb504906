/** The result files of a round: from the engine's directory into the blob store, and back for the upload. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { filesDigest, keccak256 } from "@hydrogen/protocol";
import type { Hex } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { EngineResult } from "./engine/messages.ts";
import { nodeError } from "./errors.ts";
import { type RoundKey, roundId } from "./journal.ts";

const maxFileBytes = 64 * 2 ** 20;

/** @throws NODE_FILES_LOST if a file is not what the engine said it wrote */
export async function readProduced(dir: string, files: EngineResult["files"]): Promise<Uint8Array[]> {
  return Promise.all(
    files.map(async ({ name, keccak256: expected }) => {
      const bytes = await readFile(join(dir, name)).catch((cause) => {
        throw nodeError("NODE_FILES_LOST", { name }, cause);
      });
      if (keccak256(bytes) !== expected) throw nodeError("NODE_FILES_LOST", { name });
      return bytes;
    }),
  );
}

/** Durable when it resolves. Returns the digest that the reveal discloses. */
export async function keepFiles(blobs: BlobStore, key: RoundKey, files: readonly Uint8Array[]): Promise<Hex> {
  for (const [index, bytes] of files.entries())
    await blobs.put(`${roundId(key)}/${index}`, once(bytes), { maxBytes: maxFileBytes });
  return filesDigest(files);
}

/** @throws NODE_FILES_LOST unless they are exactly the files of that digest */
export async function loadFiles(
  blobs: BlobStore,
  key: RoundKey,
  expected: { fileCount: number; filesDigest: Hex },
): Promise<Uint8Array[]> {
  const files: Uint8Array[] = [];
  for (let index = 0; index < expected.fileCount; index++) {
    const name = `${roundId(key)}/${index}`;
    const blob = await blobs.read(name);
    if (blob === undefined) throw nodeError("NODE_FILES_LOST", { name });
    files.push(new Uint8Array(await new Response(blob.stream).arrayBuffer()));
  }
  if (filesDigest(files) !== expected.filesDigest) throw nodeError("NODE_FILES_LOST", { name: roundId(key) });
  return files;
}

export async function deleteFiles(blobs: BlobStore, key: RoundKey): Promise<void> {
  for await (const name of blobs.list(roundId(key))) await blobs.delete(name);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
