/** Checks JSON values against a shape, naming the place of the first fault. Small enough to need no library. */
import type { Hex } from "@hydrogen/std";

/** @throws DecodeFault */
export type Reader<T> = (value: unknown, path: string) => T;

export class DecodeFault extends Error {
  readonly path: string;

  constructor(path: string, expected: string) {
    super(`${path || "(root)"}: expected ${expected}`);
    this.path = path;
  }
}

export const text: Reader<string> = (value, path) => {
  if (typeof value !== "string") throw new DecodeFault(path, "text");
  return value;
};

/** A number that is not negative. */
export const amount: Reader<number> = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
    throw new DecodeFault(path, "a number ≥ 0");
  return value;
};

/** An integer from `min` to `max`, as a JSON number. */
export function integer(min: number, max: number): Reader<number> {
  return (value, path) => {
    const fits = typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max;
    if (!fits) throw new DecodeFault(path, `an integer from ${min} to ${max}`);
    return value;
  };
}

/** A uint256 as a decimal string. */
export const uint: Reader<bigint> = (value, path) => {
  if (typeof value !== "string" || !/^(0|[1-9][0-9]{0,77})$/.test(value)) {
    throw new DecodeFault(path, "an unsigned integer as decimal text");
  }
  return BigInt(value);
};

/** `0x` and hexadecimal digits, of `bytes` bytes if given. */
export function hex(bytes?: number): Reader<Hex> {
  const digits = bytes === undefined ? "(?:[0-9a-fA-F]{2})*" : `[0-9a-fA-F]{${2 * bytes}}`;
  const pattern = new RegExp(`^0x${digits}$`);
  return (value, path) => {
    if (typeof value === "string" && pattern.test(value)) return value as Hex;
    throw new DecodeFault(path, bytes === undefined ? "hexadecimal bytes" : `${bytes} hexadecimal bytes`);
  };
}

export function oneOf<const Names extends readonly string[]>(names: Names): Reader<Names[number]> {
  return (value, path) => {
    if (typeof value === "string" && names.includes(value)) return value;
    throw new DecodeFault(path, `one of ${names.join(", ")}`);
  };
}

export function nullable<T>(reader: Reader<T>): Reader<T | null> {
  return (value, path) => (value === null ? null : reader(value, path));
}

export function list<T>(reader: Reader<T>): Reader<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new DecodeFault(path, "a list");
    return value.map((item, i) => reader(item, `${path}[${i}]`));
  };
}

/** An object with exactly these members, or more, which are dropped. */
export function object<T>(readers: { [Key in keyof T]: Reader<T[Key]> }): Reader<T> {
  return (value, path) => {
    const source = asObject(value, path);
    const result = {} as T;
    for (const key of Object.keys(readers) as (keyof T & string)[]) {
      const own = Object.hasOwn(source, key) ? source[key] : undefined;
      result[key] = readers[key](own, path === "" ? key : `${path}.${key}`);
    }
    return result;
  };
}

export function record<T>(reader: Reader<T>): Reader<Record<string, T>> {
  return (value, path) =>
    Object.fromEntries(
      Object.entries(asObject(value, path)).map(([key, item]) => [key, reader(item, `${path}.${key}`)]),
    );
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new DecodeFault(path, "an object");
  return value as Record<string, unknown>;
}
