/** A PNG writer for 8-bit RGB: the same pixels always give the same bytes. */
import { crc32, deflateSync } from "node:zlib";

export type RgbImage = {
  widthPx: number;
  heightPx: number;
  /** Rows from the top, three bytes a pixel. */
  rgb: Uint8Array;
};

/** @see https://www.w3.org/TR/png-3/ */
export function encodePng({ widthPx, heightPx, rgb }: RgbImage): Uint8Array {
  const stride = 3 * widthPx;
  if (rgb.length !== stride * heightPx) throw new RangeError("the pixels do not fill the image");
  const header = Buffer.alloc(13);
  header.writeUInt32BE(widthPx, 0);
  header.writeUInt32BE(heightPx, 4);
  // 8 bits a sample, true colour, deflate, adaptive filters, not interlaced.
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc((stride + 1) * heightPx);
  for (let y = 0; y < heightPx; y++) {
    const row = rgb.subarray(y * stride, (y + 1) * stride);
    const above = y === 0 ? new Uint8Array(stride) : rgb.subarray((y - 1) * stride, y * stride);
    rows.set(filterRow(row, above), y * (stride + 1));
  }
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The filter byte and the row under the filter that leaves the smallest differences. */
function filterRow(row: Uint8Array, above: Uint8Array): Uint8Array {
  const candidates = [0, 1, 2, 3, 4].map((filter) => {
    const filtered = new Uint8Array(row.length + 1);
    filtered[0] = filter;
    for (let i = 0; i < row.length; i++) {
      filtered[i + 1] = row[i]! - predict(filter, row[i - 3] ?? 0, above[i]!, above[i - 3] ?? 0);
    }
    return filtered;
  });
  const cost = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + Math.min(byte, 256 - byte), 0);
  return candidates.reduce((best, next) => (cost(next) < cost(best) ? next : best));
}

function predict(filter: number, left: number, up: number, upLeft: number): number {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const guess = left + up - upLeft;
      const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - upLeft)];
      if (a <= b && a <= c) return left;
      return b <= c ? up : upLeft;
    }
    default:
      return 0;
  }
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
