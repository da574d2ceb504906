import assert from "node:assert/strict";
import { test } from "node:test";
import { multipartBoundary, parseMultipart } from "./multipart.ts";

const body = [
  "preamble\r\n--b0und",
  'Content-Disposition: form-data; name="timestamp"\r\n\r\n1700000000\r\n--b0und',
  'content-disposition: form-data; name="images"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\r\n--b0un\r\n-\r\n--b0und',
  'Content-Disposition: form-data; name="images"; filename=""\r\n\r\n\r\n--b0und--\r\nepilogue',
].join("\r\n");

async function* inPieces(text: string, size: number) {
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(source: AsyncIterable<Uint8Array>) {
  const parts: { name: string; filename: string | undefined; text: string }[] = [];
  for await (const { name, filename, body } of parseMultipart(source, "b0und")) {
    let text = "";
    for await (const chunk of body) text += Buffer.from(chunk).toString("latin1");
    parts.push({ name, filename, text });
  }
  return parts;
}

const expected = [
  { name: "timestamp", filename: undefined, text: "1700000000" },
  { name: "images", filename: "a.png", text: "\r\n--b0un\r\n-" },
  { name: "images", filename: "", text: "" },
];

test("finds the same parts however the body is cut into chunks", async () => {
  for (let size = 1; size <= body.length; size++) {
    assert.deepEqual(await read(inPieces(body, size)), expected, `chunks of ${size} bytes`);
  }
});

test("skips what the reader leaves and still reads the source to its end", async () => {
  let consumed = 0;
  const source = (async function* () {
    for await (const chunk of inPieces(body, 7)) {
      consumed += chunk.length;
      yield chunk;
    }
  })();
  const names: string[] = [];
  for await (const part of parseMultipart(source, "b0und")) {
    names.push(part.name);
    for await (const _ of part.body) break;
  }
  assert.deepEqual(names, ["timestamp", "images", "images"]);
  assert.equal(consumed, body.length);
});

test("stops reading when its reader does", async () => {
  let consumed = 0;
  const source = (async function* () {
    for await (const chunk of inPieces(body, 1)) {
      consumed++;
      yield chunk;
    }
  })();
  for await (const part of parseMultipart(source, "b0und")) if (part.name === "images") break;
  assert.ok(consumed < body.indexOf("--b0un\r\n-"));
});

const malformed = {
  "that ends inside a part": body.slice(0, 150),
  "without its boundary": "hello",
  "that is empty": "",
  "with a part without name": "--b0und\r\nContent-Type: text/plain\r\n\r\nx\r\n--b0und--",
  "with endless headers": `--b0und\r\nX: ${"x".repeat(5_000)}`,
  "with text behind a boundary": "--b0undary\r\n\r\nx\r\n--b0und--",
};
for (const [what, text] of Object.entries(malformed)) {
  test(`refuses a body ${what}`, async () => {
    await assert.rejects(read(inPieces(text, 16)), { code: "RELAY_REQUEST_INVALID" });
  });
}

test("reads the boundary of a content type", () => {
  assert.equal(multipartBoundary("multipart/form-data; boundary=abc"), "abc");
  assert.equal(multipartBoundary('Multipart/Form-Data; charset=utf-8; boundary="a b"'), "a b");
  assert.equal(multipartBoundary("multipart/form-data"), undefined);
  assert.equal(multipartBoundary("application/json; boundary=abc"), undefined);
  assert.equal(multipartBoundary(`multipart/form-data; boundary=${"a".repeat(71)}`), undefined);
});
