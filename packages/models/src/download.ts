/**
 * One file, in pieces. The file is cut into spans that several connections fetch side by side; a connection that
 * breaks goes on where it stopped, and the next pull of a killed process goes on after the last recorded piece.
 *
 * A file with a published hash is pinned by it. One without is pinned by its ETag (or date) through If-Range; if that
 * changes, what arrived is of no use. A server without ranges is read from the start in one go.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type Clock, isHydrogenError } from "@hydrogen/std";
import { modelError } from "./errors.ts";
import { sha256File } from "./files.ts";
import { completeJournal, dropJournal, type Journal, openJournal, partOf } from "./journal.ts";
import { isMissing } from "./manifest.ts";
import { failureOf, type HttpClient, type HttpResponse } from "./net/http.ts";
import type { PlannedFile } from "./plan.ts";
import { totalOf, validatorOf } from "./probe.ts";

export type Limit = <Result>(section: () => Promise<Result>) => Promise<Result>;

export type DownloadContext = {
  http: HttpClient;
  clock: Clock;
  /** How many requests run at a time. */
  limit: Limit;
  /** What is recorded at once, and what one request asks for. */
  pieceBytes: number;
  spanBytes: number;
  /** Failures of one span without a byte between them. */
  attempts: number;
  /** Bytes gained, or lost where something must be fetched again; `resumed` were there already. */
  onBytes(delta: number, resumed: boolean): void;
};

/** Internal: this server sends the whole file whatever range is asked for. */
class NoRanges extends Error {}

/**
 * Fetches a file to `target` and checks it.
 * @returns its SHA-256
 * @throws MODEL_CHANGED, MODEL_HASH_MISMATCH, MODEL_NOT_FOUND, MODEL_ACCESS_DENIED, MODEL_UNREACHABLE,
 * MODEL_SERVER_INVALID, MODEL_DISK_FULL, as HttpClient.get; the signal's reason
 */
export async function downloadFile(
  planned: PlannedFile,
  target: string,
  context: DownloadContext,
  signal: AbortSignal,
): Promise<string> {
  const kept = await alreadyComplete(planned, target, signal);
  if (kept !== undefined) {
    context.onBytes(planned.sizeBytes, true);
    return kept;
  }
  for (let round = 0; ; round++) {
    const resumedBytes = await fetchPieces(planned, target, context, signal);
    const mismatch = await check(planned, partOf(target), signal);
    if (typeof mismatch === "string") {
      await completeJournal(target);
      return mismatch;
    }
    await dropJournal(target);
    context.onBytes(-planned.sizeBytes, false);
    // The fault may lie in what was on this disk; only what came whole from the server speaks against the server.
    if (resumedBytes === 0 || round > 0)
      throw modelError("MODEL_HASH_MISMATCH", { path: planned.path, ...mismatch });
  }
}

const identityOf = ({ sha256, gitOid, validator }: PlannedFile) => sha256 ?? gitOid ?? validator;

/** @returns how many bytes were there already */
async function fetchPieces(
  planned: PlannedFile,
  target: string,
  context: DownloadContext,
  signal: AbortSignal,
): Promise<number> {
  const { sizeBytes } = planned;
  const { pieceBytes, spanBytes } = context;
  let countedBytes = 0;
  const onBytes: DownloadContext["onBytes"] = (delta, resumed) => {
    countedBytes += delta;
    context.onBytes(delta, resumed);
  };
  const counting = { ...context, onBytes };
  const journal = await openJournal(target, { identity: identityOf(planned), sizeBytes, pieceBytes });
  const resumedBytes = journal.doneBytes();
  onBytes(resumedBytes, true);
  try {
    const spans = missingSpans(journal, sizeBytes, spanBytes);
    try {
      await allOrNone(signal, spans, (span, signal) =>
        context.limit(() => fetchSpan(planned, span, journal, counting, signal)),
      );
    } catch (error) {
      if (!(error instanceof NoRanges)) throw error;
      onBytes(-countedBytes, false);
      await context.limit(() =>
        fetchSpan(planned, { start: 0, end: sizeBytes, whole: true }, journal, counting, signal),
      );
    }
    await journal.settle();
    await journal.file.truncate(sizeBytes);
    await journal.file.datasync();
    return resumedBytes;
  } catch (error) {
    await journal.settle().catch(() => undefined);
    if (isHydrogenError(error, "MODEL_CHANGED")) await dropJournal(target);
    if ((error as NodeJS.ErrnoException).code === "ENOSPC")
      throw modelError("MODEL_DISK_FULL", { path: planned.path }, error);
    throw error;
  } finally {
    await journal.close();
  }
}

/** Bytes from `start` to before `end`; `whole` asks without a range. */
type Span = { start: number; end: number; whole: boolean };

/** Runs of missing pieces, cut at `spanBytes`. */
function missingSpans({ pieces, pieceBytes, isDone }: Journal, sizeBytes: number, spanBytes: number): Span[] {
  const spans: Span[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    if (isDone(piece)) continue;
    const start = piece * pieceBytes;
    const end = Math.min(start + pieceBytes, sizeBytes);
    const last = spans.at(-1);
    if (last?.end === start && end - last.start <= Math.max(spanBytes, pieceBytes)) last.end = end;
    else spans.push({ start, end, whole: false });
  }
  const [only] = spans;
  if (only?.start === 0 && only.end === sizeBytes) only.whole = true;
  return spans;
}

async function fetchSpan(
  planned: PlannedFile,
  span: Span,
  journal: Journal,
  context: DownloadContext,
  signal: AbortSignal,
): Promise<void> {
  let next = span.start;
  let failures = 0;
  const take = async (chunk: Buffer) => {
    if (next + chunk.length > span.end)
      throw modelError("MODEL_SERVER_INVALID", {
        path: planned.path,
        reason: "more bytes than it announced",
      });
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await journal.file.write(chunk, from, chunk.length - from, next + from);
      from += bytesWritten;
    }
    const before = Math.floor(next / journal.pieceBytes);
    next += chunk.length;
    context.onBytes(chunk.length, false);
    const after = next === planned.sizeBytes ? journal.pieces : Math.floor(next / journal.pieceBytes);
    for (let piece = before; piece < after; piece++) journal.finish(piece);
  };
  while (next < span.end) {
    const attemptStart = next;
    try {
      const response = await request(planned, { ...span, start: next }, context.http, signal);
      if (response.status === 200) {
        if (!span.whole) {
          response.body.destroy();
          throw new NoRanges();
        }
        // From the beginning, whatever had arrived.
        context.onBytes(-next, false);
        next = 0;
      }
      await readInto(response, take, signal);
      if (next < span.end)
        throw modelError("MODEL_UNREACHABLE", { url: response.shown, reason: "broke off", bytes: next });
    } catch (error) {
      signal.throwIfAborted();
      if (!isHydrogenError(error, "MODEL_UNREACHABLE")) throw error;
      failures = next > attemptStart ? 1 : failures + 1;
      if (failures >= context.attempts) throw error;
      const { retryAfterSec } = error.facts;
      const pauseMs = Math.min(500 * 2 ** (failures - 1), 30_000);
      await context.clock.sleep(typeof retryAfterSec === "number" ? retryAfterSec * 1000 : pauseMs, signal);
    }
  }
}

/** @returns a 206 of exactly the span, or a 200 of the whole file */
async function request(
  planned: PlannedFile,
  { start, end, whole }: Span,
  http: HttpClient,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const { url, token, sizeBytes } = planned;
  const pinned = planned.sha256 ?? planned.gitOid;
  const validator = pinned === undefined ? planned.validator : undefined;
  const ranged = !whole || (start > 0 && identityOf(planned) !== undefined);
  const headers = ranged
    ? { range: `bytes=${start}-${end - 1}`, ...(validator === undefined ? {} : { "if-range": validator }) }
    : {};
  const response = await http.get(url, { headers: headers as Record<string, string>, token, signal });
  const refuse = (error: Error): never => {
    response.body.destroy();
    throw error;
  };
  const facts = { path: planned.path, url: response.shown };
  const changed = () =>
    pinned === undefined
      ? modelError("MODEL_CHANGED", facts)
      : modelError("MODEL_SERVER_INVALID", { ...facts, reason: "another length than was announced" });
  if (response.status === 416) return refuse(changed());
  if (response.status !== 200 && response.status !== 206) throw failureOf(response);
  const encoding = response.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    return refuse(modelError("MODEL_SERVER_INVALID", { ...facts, reason: `encoded as ${encoding}` }));
  if (validator !== undefined && validatorOf(response.headers) !== validator) return refuse(changed());
  const total = totalOf(response);
  if (total !== undefined && total !== sizeBytes) return refuse(changed());
  if (response.status === 206) {
    const range = /^bytes (\d+)-(\d+)\//.exec(response.headers["content-range"] ?? "");
    if (Number(range?.[1]) !== start || Number(range?.[2]) > end - 1)
      return refuse(
        modelError("MODEL_SERVER_INVALID", { ...facts, reason: "another range than was asked for" }),
      );
  }
  return response;
}

async function readInto(
  { body, shown }: HttpResponse,
  take: (chunk: Buffer) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await chunks.next().catch((cause) => {
        signal.throwIfAborted();
        throw modelError("MODEL_UNREACHABLE", { url: shown, reason: "broke off" }, cause);
      });
      if (done) return;
      await take(value);
    }
  } finally {
    body.destroy();
  }
}

/** @returns the SHA-256 if the file is what was promised, else what it should be and is */
async function check(
  { sha256, gitOid, sizeBytes }: PlannedFile,
  path: string,
  signal: AbortSignal,
): Promise<string | { expected: string; actual: string }> {
  const actual = await sha256File(path, signal);
  if (sha256 !== undefined) return actual === sha256 ? actual : { expected: sha256, actual };
  if (gitOid === undefined) return actual;
  const hash = createHash("sha1").update(`blob ${sizeBytes}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  const oid = hash.digest("hex");
  return oid === gitOid ? actual : { expected: gitOid, actual: oid };
}

/** A file of an earlier pull, if its content is provably the one that is wanted now. */
async function alreadyComplete(
  planned: PlannedFile,
  target: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (planned.sha256 === undefined && planned.gitOid === undefined) return undefined;
  try {
    const found = await check(planned, target, signal);
    return typeof found === "string" ? found : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Works on all items at once; the first failure aborts the others, and it returns when the last has ended. */
export async function allOrNone<Item, Result>(
  signal: AbortSignal,
  items: readonly Item[],
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  let first: { error: unknown } | undefined;
  const settled = await Promise.allSettled(
    items.map(async (item) => {
      try {
        either.throwIfAborted();
        return await work(item, either);
      } catch (error) {
        first ??= { error };
        failed.abort(error);
        throw error;
      }
    }),
  );
  if (first !== undefined) throw first.error;
  return settled.map((one) => (one as PromiseFulfilledResult<Result>).value);
}

/** Runs at most `count` sections at a time, in the order asked. */
export function createLimit(count: number): Limit {
  let free = count;
  const waiting: (() => void)[] = [];
  return async (section) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await section();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}
