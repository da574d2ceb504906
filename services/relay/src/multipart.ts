/**
 * multipart/form-data (RFC 7578, RFC 2046 §5.1) as a stream: parts come one after the other and nothing is
 * buffered but what might be the beginning of a boundary, so the reader can stop before the first file.
 */
import { relayError } from "./errors.ts";

export type Part = {
  readonly name: string;
  /** Set for files; only whether it is set matters to us. */
  readonly filename: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
};

const maxHeaderBytes = 4_096;
const lineBreak = Buffer.from("\r\n");
const headerEnd = Buffer.from("\r\n\r\n");

/** The boundary in a Content-Type header, or undefined if it is not multipart/form-data. */
export function multipartBoundary(contentType: string | undefined): string | undefined {
  const match =
    /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)/i.exec(
      contentType ?? "",
    );
  return match?.[1] ?? match?.[2];
}

/**
 * The parts in order. What a reader leaves of a part's body is skipped; the source is always read to its end.
 * @throws REQUEST_INVALID
 */
export async function* parseMultipart(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
): AsyncGenerator<Part, void, void> {
  // The first boundary has no line break before it; with one added, all look alike.
  const input = createInput(source, lineBreak);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  try {
    await skip(input.until(delimiter));
    for (;;) {
      const next = (await input.take(2)).toString("latin1");
      if (next === "--") break;
      if (next !== "\r\n") throw relayError("RELAY_REQUEST_INVALID", { reason: "malformed boundary" });
      const header = await input.line(headerEnd, maxHeaderBytes);
      const body = input.until(delimiter);
      yield { ...disposition(header.toString("utf8")), body };
      await skip(body);
    }
    await skip(input.rest());
  } finally {
    await input.close();
  }
}

function disposition(header: string): { name: string; filename: string | undefined } {
  const line = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(header)?.[1] ?? "";
  const name = /(?:^|;)\s*name="([^"]*)"/i.exec(line)?.[1];
  if (name === undefined) throw relayError("RELAY_REQUEST_INVALID", { reason: "a part has no name" });
  return { name, filename: /(?:^|;)\s*filename="([^"]*)"/i.exec(line)?.[1] };
}

async function skip(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of bytes);
}

function createInput(source: AsyncIterable<Uint8Array>, start: Buffer) {
  const chunks = source[Symbol.asyncIterator]();
  let buffer = start;
  const pull = async (): Promise<boolean> => {
    const { done, value } = await chunks.next();
    if (done) return false;
    buffer = Buffer.concat([buffer, value]);
    return true;
  };
  const more = async (): Promise<void> => {
    if (!(await pull())) throw relayError("RELAY_REQUEST_INVALID", { reason: "the body ends early" });
  };
  const drop = (length: number): Buffer => {
    const head = buffer.subarray(0, length);
    buffer = buffer.subarray(length);
    return head;
  };
  return {
    take: async (length: number): Promise<Buffer> => {
      while (buffer.length < length) await more();
      return drop(length);
    },
    /** Everything before `end`, which is dropped, within `limit` bytes. */
    line: async (end: Buffer, limit: number): Promise<Buffer> => {
      for (;;) {
        const at = buffer.indexOf(end);
        if ((at === -1 ? buffer.length : at) > limit) {
          throw relayError("RELAY_REQUEST_INVALID", { reason: "the headers of a part are too long" });
        }
        if (at !== -1) return drop(at + end.length).subarray(0, at);
        await more();
      }
    },
    /** Everything before `end`, which is dropped. Iterating it again goes on where it stopped. */
    until: (end: Buffer): AsyncIterable<Uint8Array> => {
      let found = false;
      const next = async (): Promise<IteratorResult<Uint8Array>> => {
        for (;;) {
          if (found) return { done: true, value: undefined };
          const at = buffer.indexOf(end);
          if (at !== -1) {
            found = true;
            const value = drop(at + end.length).subarray(0, at);
            if (value.length > 0) return { done: false, value };
          } else if (buffer.length >= end.length) {
            return { done: false, value: drop(buffer.length - end.length + 1) };
          } else {
            await more();
          }
        }
      };
      return { [Symbol.asyncIterator]: () => ({ next }) };
    },
    close: async () => void (await chunks.return?.()),
    rest: async function* (): AsyncGenerator<Uint8Array> {
      do yield drop(buffer.length);
      while (await pull());
    },
  };
}
