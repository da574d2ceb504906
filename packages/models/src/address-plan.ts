/** A model that is one file behind a web address, as Civitai gives them. */
import { modelError } from "./errors.ts";
import type { HttpClient } from "./net/http.ts";
import type { Plan } from "./plan.ts";
import { probe } from "./probe.ts";
import { type UrlRef, withoutSecrets } from "./ref.ts";
import { formatOf } from "./safetensors-check.ts";

/**
 * @throws as HttpClient.get; MODEL_NOT_FOUND, MODEL_ACCESS_DENIED, MODEL_UNREACHABLE, MODEL_SERVER_INVALID,
 * MODEL_NO_SAFETENSORS
 */
export async function planAddress(
  ref: UrlRef,
  { http, token }: { http: HttpClient; token?: string | undefined },
  signal?: AbortSignal,
): Promise<Plan> {
  if (ref.url === undefined) throw modelError("MODEL_UNKNOWN", { model: ref.id });
  const url = new URL(ref.url);
  const used = ref.token ?? token;
  const { head, fileName, sizeBytes, ...identity } = await probe(http, url, { token: used, signal });
  const shown = withoutSecrets(url);
  switch (formatOf(head, sizeBytes)) {
    case "safetensors":
      break;
    case "pickle":
      throw modelError("MODEL_NO_SAFETENSORS", { url: shown, ...(fileName ? { file: fileName } : {}) });
    case "page":
      throw modelError("MODEL_ACCESS_DENIED", { url: shown, reason: "a web page came instead of a file" });
    default:
      throw modelError("MODEL_SERVER_INVALID", { url: shown, reason: "not a safetensors file" });
  }
  const sha256 = ref.sha256 ?? identity.sha256;
  const { validator } = identity; // An ETag of another server than the Hub is no Git object.
  return {
    title: fileName ?? shown.slice(0, 200),
    licence: "NOASSERTION",
    from: shown,
    commit: null,
    files: [
      {
        path: "model.safetensors",
        url,
        token: used,
        sizeBytes,
        ...(sha256 === undefined || sha256 === null ? {} : { sha256 }),
        ...(validator === undefined ? {} : { validator }),
      },
    ],
  };
}
