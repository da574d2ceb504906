/** For tests: real PNGs whose pHash and bytes can be chosen apart. */
import { crc32, deflateSync } from "node:zlib";

/** A grey 16 × 16 PNG with a gradient; `comment` changes its bytes but not its pixels. */
export function picture(slope: number, comment = ""): Uint8Array {
  const rows = Buffer.concat(
    Array.from({ length: 16 }, (_, y) =>
      Buffer.from([0, ...Array.from({ length: 16 }, (_, x) => (x * slope + y * 7) & 255)]),
    ),
  );
  const header = Buffer.from([0, 0, 0, 16, 0, 0, 0, 16, 8, 0, 0, 0, 0]);
  const text = comment === "" ? [] : [chunk("tEXt", Buffer.from(`c\0${comment}`))];
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return new Uint8Array(
    Buffer.concat([
      signature,
      chunk("IHDR", header),
      ...text,
      chunk("IDAT", deflateSync(rows)),
      chunk("IEND", Buffer.alloc(0)),
    ]),
  );
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
