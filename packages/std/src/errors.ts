/**
 * The one error class of the project. An error has a stable code, knows whether trying again can help,
 * keeps its cause, and carries the facts as values rather than inside a sentence.
 */

/** What the protocol needs to know of a failed task: the first three are the task's fault, the rest the node's. */
export type FailureClass =
  | "args_invalid"
  | "unsupported"
  | "model_invalid"
  | "model_unavailable"
  | "resource"
  | "execution"
  | "cancelled";

export type ErrorFacts = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

export type ErrorDefinition = {
  /** One sentence, without the facts. */
  readonly message: string;
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable: boolean;
  /** What the reader can do about it. */
  readonly hint?: string;
  /** Set where the error can end a task. */
  readonly failureClass?: FailureClass;
};

export type ErrorDefinitions = Readonly<Record<string, ErrorDefinition>>;

export class HydrogenError<Code extends string = string> extends Error {
  override readonly name = "HydrogenError";
  readonly code: Code;
  readonly retryable: boolean;
  readonly hint: string | undefined;
  readonly failureClass: FailureClass | undefined;
  readonly facts: ErrorFacts;

  constructor(code: Code, definition: ErrorDefinition, facts: ErrorFacts = {}, cause?: unknown) {
    super(describe(definition.message, facts), cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = definition.retryable;
    this.hint = definition.hint;
    this.failureClass = definition.failureClass;
    this.facts = facts;
  }

  /** A plain object for JSON: crosses process borders and ends up in logs. Bigints become decimal strings. */
  toJSON(): SerializedError {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.failureClass === undefined ? {} : { failureClass: this.failureClass }),
      facts: Object.fromEntries(
        Object.entries(this.facts)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [key, typeof value === "bigint" ? value.toString() : value]),
      ) as SerializedError["facts"],
    };
  }
}

export type SerializedError = {
  code: string;
  message: string;
  retryable: boolean;
  hint?: string;
  failureClass?: FailureClass;
  facts: Record<string, string | number | boolean>;
};

/**
 * Declares the errors of one package and returns a constructor for them.
 *
 * @example
 * export const chainError = defineErrors({
 *   CHAIN_UNREACHABLE: { message: "The chain RPC does not answer", retryable: true, hint: "Is the URL right?" },
 * });
 * throw chainError("CHAIN_UNREACHABLE", { rpcUrl }, cause);
 */
export function defineErrors<const Definitions extends ErrorDefinitions>(definitions: Definitions) {
  type Code = keyof Definitions & string;
  const create = (code: Code, facts?: ErrorFacts, cause?: unknown): HydrogenError<Code> =>
    new HydrogenError(code, definitions[code]!, facts, cause);
  return Object.assign(create, { definitions });
}

/** Whether `error` is one of ours, optionally with one of the given codes. */
export function isHydrogenError(error: unknown, ...codes: string[]): error is HydrogenError {
  return error instanceof HydrogenError && (codes.length === 0 || codes.includes(error.code));
}

/** Rebuilds an error that came over a process border or out of JSON. */
export function deserializeError(data: SerializedError): HydrogenError {
  const definition: ErrorDefinition = {
    message: data.message,
    retryable: data.retryable,
    ...(data.hint === undefined ? {} : { hint: data.hint }),
    ...(data.failureClass === undefined ? {} : { failureClass: data.failureClass }),
  };
  const error = new HydrogenError(data.code, definition, data.facts);
  error.message = data.message;
  return error;
}

/** A one-line text for logs and terminals: the message, then the codes of the causes. */
export function errorSummary(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error instanceof HydrogenError ? `${error.code}: ${error.message}` : error.message;
  return error.cause === undefined ? own : `${own} ← ${errorSummary(error.cause)}`;
}

function describe(message: string, facts: ErrorFacts): string {
  const listed = Object.entries(facts).filter(([, value]) => value !== undefined);
  if (listed.length === 0) return message;
  return `${message} (${listed.map(([key, value]) => `${key}: ${value}`).join(", ")})`;
}
