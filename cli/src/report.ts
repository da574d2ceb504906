/** Errors as a person reads them: code and message, what to do, and the same of each cause. */
import { type HydrogenError, isHydrogenError } from "@hydrogen/std";

export function reportError(out: Pick<Console, "error">, error: HydrogenError): void {
  out.error(lines(error).join("\n"));
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
    out.error(
      lines(cause)
        .map((line, i) => (i === 0 ? `  because ${line}` : `          ${line}`))
        .join("\n"),
    );
}

function lines(error: Error): string[] {
  if (!isHydrogenError(error)) return [error.message];
  return [`${error.code}: ${error.message}`, ...(error.hint === undefined ? [] : [error.hint])];
}
