/**
 * Receiving a result: the uploader is known and allowed before the first byte of a file is stored, files go to disk
 * as they come in, and nothing is kept unless they are exactly what the uploader revealed on the chain.
 */
import { createKeccak, filesDigestOfHashes, imagePhash, phashBytes, pngSize } from "@hydrogen/protocol";
import { bytesToHex, equalHex, type Hex, isHydrogenError } from "@hydrogen/std";
import type { BlobStore, StagedBlob } from "@hydrogen/storage";
import type { Identity } from "./auth.ts";
import type { RelayLimits } from "./config.ts";
import { relayError } from "./errors.ts";
import { type Part, parseMultipart } from "./multipart.ts";

/** What the uploader revealed. */
export type Reveal = { result: Hex; filesDigest: Hex };

export type Upload = {
  source: AsyncIterable<Uint8Array>;
  boundary: string;
  /** Known from the header, or else from fields that come before the first file. */
  identity: Identity | undefined;
  identify(fields: ReadonlyMap<string, string>): Identity;
  /** @throws whatever keeps this signer from uploading */
  authorize(identity: Identity): Promise<Reveal>;
};

const maxFields = 8;
const maxFieldBytes = 256;

/**
 * The files in order, on disk and without a name; the caller publishes or discards them.
 * @throws RELAY_FILES_INVALID, RELAY_FILE_TOO_LARGE, RELAY_FILES_MISMATCH, RELAY_BODY_MISMATCH, IMAGE_INVALID,
 * IMAGE_TOO_LARGE, what `authorize` throws
 */
export async function receiveResult(
  upload: Upload,
  deps: { blobs: BlobStore; limits: RelayLimits },
): Promise<{ reveal: Reveal; files: StagedBlob[] }> {
  const files: StagedBlob[] = [];
  try {
    const reveal = await stageFiles(upload, files, deps);
    await checkFiles(files, reveal, deps.limits);
    return { reveal, files };
  } catch (error) {
    await discardAll(files);
    throw error;
  }
}

export async function discardAll(files: readonly StagedBlob[]): Promise<void> {
  for (const file of files) await file.discard();
}

async function stageFiles(
  upload: Upload,
  files: StagedBlob[],
  { blobs, limits }: { blobs: BlobStore; limits: RelayLimits },
): Promise<Reveal> {
  let { identity } = upload;
  let reveal = identity && (await upload.authorize(identity));
  const fields = new Map<string, string>();
  const bodyHash = createKeccak();
  for await (const part of parseMultipart(tap(upload.source, bodyHash.update), upload.boundary)) {
    if (part.filename === undefined) {
      if (fields.size >= maxFields) throw relayError("RELAY_FILES_INVALID", { reason: "too many fields" });
      fields.set(part.name, await readField(part));
      continue;
    }
    identity ??= upload.identify(fields);
    reveal ??= await upload.authorize(identity);
    if (files.length >= limits.maxFiles)
      throw relayError("RELAY_FILES_INVALID", { maxFiles: limits.maxFiles });
    files.push(await stageFile(part, blobs, limits));
  }
  if (reveal === undefined || files.length === 0) {
    throw relayError("RELAY_FILES_INVALID", { reason: "there is no file" });
  }
  if (identity?.bodyHash !== undefined && bodyHash.digest() !== identity.bodyHash) {
    throw relayError("RELAY_BODY_MISMATCH");
  }
  return reveal;
}

async function stageFile(part: Part, blobs: BlobStore, { maxFileBytes }: RelayLimits): Promise<StagedBlob> {
  try {
    return await blobs.stage(part.body, { maxBytes: maxFileBytes });
  } catch (error) {
    if (isHydrogenError(error, "STORAGE_BLOB_TOO_LARGE")) {
      throw relayError("RELAY_FILE_TOO_LARGE", { maxFileBytes }, error);
    }
    throw error;
  }
}

/** The digest comes first: it is cheap, and after it only files that a paid node stands for are decoded. */
async function checkFiles(files: readonly StagedBlob[], reveal: Reveal, limits: RelayLimits): Promise<void> {
  const digest = filesDigestOfHashes(files.map((file) => file.keccak256));
  if (!equalHex(digest, reveal.filesDigest)) {
    throw relayError("RELAY_FILES_MISMATCH", { expected: reveal.filesDigest, actual: digest });
  }
  let result = "0x";
  for (const [imageNum, file] of files.entries()) {
    const png = await file.bytes();
    const { width, height } = pngSize(png);
    if (width * height > limits.maxPixels) {
      throw relayError("RELAY_FILES_INVALID", { imageNum, width, height, maxPixels: limits.maxPixels });
    }
    result += bytesToHex(imagePhash(png)).slice(2);
  }
  if (result.length !== 2 + 2 * phashBytes * files.length || !equalHex(result, reveal.result)) {
    throw relayError("RELAY_FILES_MISMATCH", { expected: reveal.result, actual: result });
  }
}

async function readField(part: Part): Promise<string> {
  let text = "";
  for await (const chunk of part.body) {
    text += Buffer.from(chunk).toString("latin1");
    if (text.length > maxFieldBytes)
      throw relayError("RELAY_FILES_INVALID", { field: part.name.slice(0, 32) });
  }
  return text;
}

async function* tap(
  source: AsyncIterable<Uint8Array>,
  look: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    look(chunk);
    yield chunk;
  }
}
