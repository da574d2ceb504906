/**
 * What of a file has safely arrived: `file.part` holds the bytes, `file.part.json` says which pieces of it count. A
 * piece is recorded only after its bytes have been flushed to the disk, so neither kill -9 nor a power cut lets bytes
 * count that are not there.
 */
import { type FileHandle, mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";

const stateSchema = z.object({
  /** Of the content: a hash, or the server's validator. */
  identity: z.string().min(1),
  sizeBytes: z.int().nonnegative(),
  pieceBytes: z.int().positive(),
  done: z.array(z.int().nonnegative()),
});

export type Journal = {
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly file: FileHandle;
  isDone(piece: number): boolean;
  /** Bytes of the pieces that are done. */
  doneBytes(): number;
  /** The piece's bytes have been written; they are flushed and recorded in the background. */
  finish(piece: number): void;
  /** Everything finished so far is recorded. @throws what flushing threw */
  settle(): Promise<void>;
  close(): Promise<void>;
};

export const partOf = (target: string): string => `${target}.part`;
const stateOf = (target: string): string => `${target}.part.json`;

/** Continues what is there if it is of the same content, else starts anew. `identity` undefined: nothing can be continued. */
export async function openJournal(
  target: string,
  content: { identity: string | undefined; sizeBytes: number; pieceBytes: number },
): Promise<Journal> {
  const { identity, sizeBytes } = content;
  await mkdir(dirname(target), { recursive: true });
  const before = identity === undefined ? undefined : await readState(target);
  const same = before?.identity === identity && before?.sizeBytes === sizeBytes ? before : undefined;
  const old = same && (await open(partOf(target), "r+").catch(() => undefined));
  if (!old) await dropJournal(target);
  // Pieces keep the size they were begun with.
  const pieceBytes = old ? same.pieceBytes : content.pieceBytes;
  const pieces = Math.ceil(sizeBytes / pieceBytes);
  const file = old ?? (await open(partOf(target), "w+"));
  const { size: presentBytes } = await file.stat();
  const isThere = (piece: number) => Math.min((piece + 1) * pieceBytes, sizeBytes) <= presentBytes;
  const done = new Set(old ? same.done.filter((piece) => piece < pieces && isThere(piece)) : []);
  const written = new Set<number>();
  let saving: Promise<void> | undefined;

  const save = async () => {
    while (written.size > 0) {
      const batch = [...written];
      written.clear();
      await file.datasync();
      for (const piece of batch) done.add(piece);
      if (identity === undefined) continue;
      const state = { identity, sizeBytes, pieceBytes, done: [...done].sort((a, b) => a - b) };
      await writeFile(`${stateOf(target)}.new`, JSON.stringify(state));
      await rename(`${stateOf(target)}.new`, stateOf(target));
    }
  };
  const sizeOf = (piece: number) => Math.min(pieceBytes, sizeBytes - piece * pieceBytes);
  return {
    pieces,
    pieceBytes,
    file,
    isDone: (piece) => done.has(piece),
    doneBytes: () => [...done].reduce((sum, piece) => sum + sizeOf(piece), 0),
    finish: (piece) => {
      // Of a file in one piece there is nothing to go on with.
      if (pieces === 1) {
        done.add(piece);
        return;
      }
      written.add(piece);
      saving ??= save().finally(() => {
        saving = undefined;
      });
      saving.catch(() => undefined);
    },
    settle: async () => {
      await saving;
      await save();
    },
    close: () => file.close(),
  };
}

/** Forgets what has arrived of a file. */
export async function dropJournal(target: string): Promise<void> {
  await rm(stateOf(target), { force: true });
  await rm(partOf(target), { force: true });
}

/** The bytes are complete and right: they get their name. */
export async function completeJournal(target: string): Promise<void> {
  await rename(partOf(target), target);
  await rm(stateOf(target), { force: true });
}

async function readState(target: string): Promise<z.output<typeof stateSchema> | undefined> {
  try {
    return stateSchema.safeParse(JSON.parse(await readFile(stateOf(target), "utf8"))).data;
  } catch {
    return undefined;
  }
}
