import { diffusionError } from "../errors.ts";

/** No real model has more of anything; a larger number is a mistake or an attack on our memory. */
const MAX_COUNT = 1_000_000;

/** What to throw when a value makes no sense, and when it makes sense but the engine does not do it. */
export type FieldErrors = {
  invalid(facts: { key: string; value: string }): Error;
  unsupported(facts: { key: string; value: string }): Error;
};

export function modelFileErrors(file: string): FieldErrors {
  return {
    invalid: (facts) => diffusionError("MODEL_CONFIG_INVALID", { file, ...facts }),
    unsupported: (facts) => diffusionError("MODEL_UNSUPPORTED", { file, ...facts }),
  };
}

/** Reads typed values out of a model's configuration, with the defaults of the class that wrote it. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #errors: FieldErrors;

  constructor(values: Readonly<Record<string, unknown>>, errors: FieldErrors) {
    this.#values = values;
    this.#errors = errors;
  }

  /** The same values, with other defaults where there are none. */
  withDefaults(defaults: Readonly<Record<string, unknown>>): Fields {
    const given = Object.entries(this.#values).filter(([, value]) => value !== null && value !== undefined);
    return new Fields({ ...defaults, ...Object.fromEntries(given) }, this.#errors);
  }

  raw(key: string): unknown {
    return this.#values[key] ?? undefined;
  }

  /** A whole number from 1 up. */
  count(key: string, fallback?: number): number {
    return this.#checkCount(key, this.raw(key) ?? fallback);
  }

  /** A whole number from 0 up. */
  whole(key: string, fallback: number): number {
    const value = this.raw(key) ?? fallback;
    return value === 0 ? 0 : this.#checkCount(key, value);
  }

  number(key: string, fallback?: number): number {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== "number" || Number.isNaN(value)) throw this.invalid(key);
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== "boolean") throw this.invalid(key);
    return value;
  }

  text(key: string, fallback?: string): string {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== "string") throw this.invalid(key);
    return value;
  }

  texts(key: string, fallback?: readonly string[]): readonly string[] {
    const value = this.raw(key) ?? fallback;
    if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === "string")) {
      throw this.invalid(key);
    }
    return value;
  }

  counts(key: string, fallback?: readonly number[]): readonly number[] {
    const value = this.raw(key) ?? fallback;
    if (!Array.isArray(value) || value.length === 0) throw this.invalid(key);
    return value.map((item) => this.#checkCount(key, item));
  }

  /** A list of `length` counts, or one count for all of them. */
  countEach(key: string, length: number, fallback: number): readonly number[] {
    const value = this.raw(key) ?? fallback;
    if (!Array.isArray(value)) return new Array<number>(length).fill(this.#checkCount(key, value));
    if (value.length !== length) throw this.invalid(key);
    return this.counts(key);
  }

  /** One of `allowed`; any other value is something the engine does not do. */
  oneOf<const T extends string>(key: string, allowed: readonly T[], fallback: T): T {
    const value = this.raw(key) ?? fallback;
    if (!allowed.includes(value as T)) throw this.unsupported(key);
    return value as T;
  }

  /** The setting must be absent, null, or `neutral`: the engine does not do what other values mean. */
  only(key: string, neutral: unknown): void {
    const value = this.raw(key);
    if (value !== undefined && value !== neutral) throw this.unsupported(key);
  }

  invalid(key: string): Error {
    return this.#errors.invalid({ key, value: shown(this.raw(key)) });
  }

  unsupported(key: string): Error {
    return this.#errors.unsupported({ key, value: shown(this.raw(key)) });
  }

  #checkCount(key: string, value: unknown): number {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MAX_COUNT) {
      throw this.invalid(key);
    }
    return value;
  }
}

function shown(value: unknown): string {
  return value === undefined ? "missing" : JSON.stringify(value).slice(0, 200);
}
