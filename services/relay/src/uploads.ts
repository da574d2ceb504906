/**
 * What applications and nodes uploaded: bytes in the blob store under their own hash, and rows that say what they are.
 * Bytes are written first and rows last, in one transaction, so an upload is visible as a whole or not at all;
 * bytes without a row are garbage.
 */
import { createHash } from "node:crypto";
import { type Clock, type Hex, Mutex, utf8Encode } from "@hydrogen/std";
import type { BlobStore, OpenBlob, StagedBlob } from "@hydrogen/storage";
import type { ResultFile, Store } from "./store.ts";

export type Uploads = {
  /** Idempotent. */
  putArgs(taskHash: Hex, creator: Hex, taskArgs: string): Promise<void>;
  /** The args that this creator uploaded; those of others are none of its business. */
  getArgs(taskHash: Hex, creator: Hex): Promise<string | undefined>;
  /** Idempotent. The order of the files is that of the result. */
  putResult(taskId: number, filesDigest: Hex, files: readonly StagedBlob[]): Promise<void>;
  /** Of the results with these digests the one that was uploaded first, so that it never changes. */
  result(taskId: number, filesDigests: readonly Hex[]): { filesDigest: Hex; files: ResultFile[] } | undefined;
  openFile(file: ResultFile): Promise<OpenBlob | undefined>;
  /** Deletes uploads older than this. */
  expire(ageMs: number): Promise<void>;
  /** Deletes bytes that no row speaks of: what a crash between the two left behind. */
  collectGarbage(): Promise<void>;
};

type Kind = "args" | "files";
const blobName = (kind: Kind, keccak256: Hex): string =>
  `${kind}/${keccak256.slice(2, 4)}/${keccak256.slice(2)}`;

export function createUploads(deps: { store: Store; blobs: BlobStore; clock: Clock }): Uploads {
  const { store, blobs, clock } = deps;
  // Between an upload's bytes and its rows nothing may be collected.
  const publishing = new Mutex();

  const discardUnused = (kind: Kind, keccak256: Hex): Promise<void> =>
    publishing.run(async () => {
      if (!store.uses(kind, keccak256)) await blobs.delete(blobName(kind, keccak256));
    });

  return {
    putArgs: async (taskHash, creator, taskArgs) => {
      const bytes = utf8Encode(taskArgs);
      await publishing.run(async () => {
        const known = store.hasArgs(taskHash, creator);
        if (!known) await blobs.put(blobName("args", taskHash), only(bytes), { maxBytes: bytes.length });
        store.addArgs(taskHash, creator, clock.nowMs());
      });
    },
    getArgs: async (taskHash, creator) => {
      if (!store.hasArgs(taskHash, creator)) return undefined;
      const blob = await blobs.read(blobName("args", taskHash));
      return blob === undefined ? undefined : await new Response(blob.stream).text();
    },
    putResult: async (taskId, filesDigest, files) => {
      const described = await Promise.all(
        files.map(async (file, imageNum): Promise<ResultFile> => {
          const sha256: Hex = `0x${createHash("sha256")
            .update(await file.bytes())
            .digest("hex")}`;
          return { imageNum, keccak256: file.keccak256, sha256, sizeBytes: file.sizeBytes };
        }),
      );
      await publishing.run(async () => {
        for (const file of files) await file.publish(blobName("files", file.keccak256));
        store.addResult(taskId, filesDigest, described, clock.nowMs());
      });
    },
    result: (taskId, filesDigests) => {
      const files = store.resultFiles(taskId).filter((file) => filesDigests.includes(file.filesDigest));
      const filesDigest = files[0]?.filesDigest;
      return filesDigest && { filesDigest, files: files.filter((file) => file.filesDigest === filesDigest) };
    },
    openFile: (file) => blobs.read(blobName("files", file.keccak256)),
    expire: async (ageMs) => {
      const { args, files } = store.dropUploadsBefore(clock.nowMs() - ageMs);
      for (const keccak256 of args) await discardUnused("args", keccak256);
      for (const keccak256 of files) await discardUnused("files", keccak256);
    },
    collectGarbage: async () => {
      for await (const name of blobs.list()) {
        const [kind, , digits] = name.split("/");
        if (kind === "args" || kind === "files") await discardUnused(kind, `0x${digits}`);
      }
    },
  };
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
