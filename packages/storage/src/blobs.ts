/**
 * Blobs on disk. A blob is written to a temporary file, flushed, and only then given its name, so that whoever
 * sees a name sees the whole blob, after `kill -9` and power loss too.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { bytesToHex, type Hex } from "@hydrogen/std";
import { keccak_256 } from "@noble/hashes/sha3";
import { storageError } from "./errors.ts";

export type BlobInfo = { readonly sizeBytes: number; readonly keccak256: Hex };

export type WriteOptions = {
  /** Writing stops, and nothing is kept, as soon as the source yields more. */
  maxBytes: number;
  signal?: AbortSignal | undefined;
};

/** A blob that is on disk, flushed, and has no name yet. */
export type StagedBlob = BlobInfo & {
  bytes(): Promise<Uint8Array>;
  /**
   * Gives it its name, replacing a blob of that name.
   * @throws STORAGE_BLOB_NAME_INVALID, STORAGE_WRITE_FAILED
   */
  publish(name: string): Promise<void>;
  /** Deletes it, unless it was published. */
  discard(): Promise<void>;
};

export type OpenBlob = { readonly sizeBytes: number; readonly stream: ReadableStream<Uint8Array> };

export type BlobStore = {
  /** @throws STORAGE_BLOB_TOO_LARGE, STORAGE_WRITE_FAILED, the signal's reason, and whatever the source throws */
  stage(source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<StagedBlob>;
  /** `stage` and `publish` in one. */
  put(name: string, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<BlobInfo>;
  /** The blob as it is now, even if it is deleted while being read; undefined if there is none. */
  read(name: string): Promise<OpenBlob | undefined>;
  /** Whether there was one to delete. */
  delete(name: string): Promise<boolean>;
  /** Names of all blobs, or of those below a directory such as `results/7`; in no order. */
  list(directory?: string): AsyncIterable<string>;
};

const namePattern = /^(?=.{1,200}$)[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/;

/**
 * Opens or creates a blob store and deletes what interrupted writes left behind.
 *
 * @param root a directory that only this process writes to
 */
export function createBlobStore(root: string): BlobStore {
  // No blob name begins with a dot, so temporary files can never be taken for blobs.
  const temporary = join(root, ".tmp");
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });

  const pathOf = (name: string): string => {
    if (!namePattern.test(name)) throw storageError("STORAGE_BLOB_NAME_INVALID", { name });
    return join(root, ...name.split("/"));
  };

  const publish = async (from: string, name: string): Promise<void> => {
    const to = pathOf(name);
    try {
      const created = await mkdir(dirname(to), { recursive: true });
      await rename(from, to);
      await syncDirectory(dirname(to));
      // A new directory is itself an entry in its parent, up to the first one that was there already.
      for (let dir = dirname(to); created !== undefined && dir !== dirname(created); dir = dirname(dir)) {
        await syncDirectory(dirname(dir));
      }
    } catch (cause) {
      throw storageError("STORAGE_WRITE_FAILED", { name }, cause);
    }
  };

  const stage: BlobStore["stage"] = async (source, options) => {
    const path = join(temporary, randomUUID());
    try {
      const info = await write(path, source, options);
      let published = false;
      return {
        ...info,
        bytes: () => readAll(path),
        publish: async (name) => {
          await publish(path, name);
          published = true;
        },
        discard: async () => {
          if (!published) await rm(path, { force: true });
        },
      };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  };

  return {
    stage,
    put: async (name, source, options) => {
      pathOf(name);
      const staged = await stage(source, options);
      try {
        await staged.publish(name);
      } finally {
        await staged.discard();
      }
      return { sizeBytes: staged.sizeBytes, keccak256: staged.keccak256 };
    },
    read: async (name) => {
      const file = await open(pathOf(name), "r").catch(ignoreMissing);
      if (file === undefined) return undefined;
      const info = await file.stat();
      if (info.isFile()) return { sizeBytes: info.size, stream: streamOf(file) };
      await file.close();
      return undefined;
    },
    delete: async (name) => {
      const path = pathOf(name);
      const info = await stat(path).catch(ignoreMissing);
      if (!info?.isFile()) return false;
      await rm(path, { force: true });
      return true;
    },
    list: async function* (directory) {
      const start = directory === undefined ? root : pathOf(directory);
      const entries = await readdir(start, { recursive: true, withFileTypes: true }).catch(ignoreMissing);
      for (const entry of entries ?? []) {
        if (!entry.isFile()) continue;
        const name = relative(root, join(entry.parentPath, entry.name)).split(sep).join("/");
        if (namePattern.test(name)) yield name;
      }
    },
  };
}

async function write(
  path: string,
  source: AsyncIterable<Uint8Array>,
  { maxBytes, signal }: WriteOptions,
): Promise<BlobInfo> {
  const hash = keccak_256.create();
  let sizeBytes = 0;
  const file = await open(path, "wx").catch(writeFailed);
  try {
    for await (const chunk of source) {
      signal?.throwIfAborted();
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw storageError("STORAGE_BLOB_TOO_LARGE", { maxBytes });
      hash.update(chunk);
      await file.writeFile(chunk).catch(writeFailed);
    }
    signal?.throwIfAborted();
    await file.sync().catch(writeFailed);
  } finally {
    await file.close();
  }
  return { sizeBytes, keccak256: bytesToHex(hash.digest()) };
}

async function readAll(path: string): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function streamOf(file: FileHandle): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: async (controller) => {
      const { bytesRead, buffer } = await file.read(new Uint8Array(65_536));
      if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
      await file.close();
      controller.close();
    },
    cancel: () => file.close(),
  });
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open directories, and needs no flush of theirs.
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function writeFailed(cause: unknown): never {
  throw storageError("STORAGE_WRITE_FAILED", {}, cause);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}
