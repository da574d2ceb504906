/** What names a model: a Hugging Face id or a web address, with what picks one of its forms. */
import { createHash } from "node:crypto";
import { modelError } from "./errors.ts";
import { insidePath } from "./manifest.ts";

/** As task args and commands give it. A string is the name alone. */
export type ModelRef =
  | string
  | {
      /** `owner/name`, `owner/name@revision`, or an https address, of which `#sha256=…` may pin the content. */
      name: string;
      /** `fp16` for a diffusers variant. */
      variant?: string | null | undefined;
      /** Branch, tag or commit; default `main`. */
      revision?: string | null | undefined;
      /** One file of the repository instead of the whole model. */
      file?: string | null | undefined;
      /** What the one file must hash to; 64 hexadecimal digits. */
      sha256?: string | null | undefined;
    };

type Parsed = {
  /** `owner/name` in lower case: the `id` of the manifest. */
  id: string;
  /** The folder's name in the store. */
  slug: string;
  variant: string | null;
  revision: string | null;
  file: string | null;
  sha256: string | null;
};
export type HubRef = Parsed & { kind: "hub"; repo: string; revision: string };
/** Without an address where the id was given that `list` shows: enough for what is here. */
export type UrlRef = Parsed & { kind: "url"; url: string | undefined; token: string | undefined };
export type ParsedRef = HubRef | UrlRef;

const hubHosts = new Set(["huggingface.co", "www.huggingface.co", "hf.co"]);
/** The Hub's own rule, which forbids `--` and `..`: that keeps ids of addresses and folder names unmistakable. */
const hubPart = /^(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;
const variantText = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
const revisionText = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/;

/**
 * Reads a reference; asks nobody.
 * @throws MODEL_REF_INVALID; MODEL_NO_SAFETENSORS for a file whose name says that it is of another format
 */
export function parseRef(ref: ModelRef): ParsedRef {
  const given = typeof ref === "string" ? { name: ref } : ref;
  const parts = {
    variant: given.variant || null,
    revision: given.revision || null,
    file: given.file || null,
    sha256: given.sha256?.toLowerCase() || null,
  };
  const local = /^url--[a-z0-9._-]+\/[0-9a-f]{32}$/.test(given.name);
  if (local) return { ...addressOnly(given.name), url: undefined, token: undefined, sha256: parts.sha256 };
  return /^https?:\/\//i.test(given.name) ? parseAddress(given.name, parts) : parseId(given.name, parts);
}

type Parts = Pick<Parsed, "variant" | "revision" | "file" | "sha256">;

function parseId(name: string, { variant, revision: asked, file, sha256 }: Parts): HubRef {
  const [repo = "", suffix] = name.split(/@(.*)/s, 2);
  const [owner = "", model = "", ...more] = repo.split("/");
  const revision = asked ?? suffix ?? "main";
  if (!hubPart.test(owner) || !hubPart.test(model) || more.length > 0) throw invalid(name, "name");
  if (variant !== null && !variantText.test(variant)) throw invalid(name, "variant");
  if (!revisionText.test(revision)) throw invalid(name, "revision");
  if (file !== null) checkFile(name, file);
  checkHash(name, sha256);
  const id = repo.toLowerCase();
  const extras = [revision === "main" ? "" : revision, variant ?? "", file ?? ""];
  const suffixed = extras.some(Boolean) ? `--${hashText(JSON.stringify(extras)).slice(0, 12)}` : "";
  const slug = `${id.replace("/", "--")}${suffixed}`;
  return { kind: "hub", id, slug, repo, revision, variant, file, sha256 };
}

function parseAddress(text: string, parts: Parts): ParsedRef {
  if (!URL.canParse(text)) throw invalid(withoutSecrets(text), "address");
  const url = new URL(text);
  const shown = withoutSecrets(text);
  if (url.username !== "" || url.password !== "") throw invalid(shown, "address with a password");
  const pinned = url.hash === "" ? null : /^#sha256=([0-9a-fA-F]{64})$/.exec(url.hash)?.[1];
  if (pinned === undefined) throw invalid(shown, "fragment");
  const sha256 = parts.sha256 ?? pinned?.toLowerCase() ?? null;
  if (hubHosts.has(url.hostname)) return parseHubAddress(url, shown, { ...parts, sha256 });
  checkHash(shown, sha256);
  // Some sites' users copy addresses that carry their token; it is neither kept nor part of what the model is.
  const token = url.searchParams.get("token") ?? undefined;
  url.searchParams.delete("token");
  url.hash = "";
  const id = `url--${url.hostname.replace(/[^a-z0-9.-]/g, "_")}/${hashText(url.href).slice(0, 32)}`;
  return { ...addressOnly(id), url: url.href, token, sha256 };
}

function addressOnly(id: string) {
  return { kind: "url", id, slug: id.replace("/", "--"), variant: null, revision: null, file: null } as const;
}

function parseHubAddress(url: URL, shown: string, parts: Parts): HubRef {
  const [owner, model = "", action, revision, ...path] = url.pathname.slice(1).split("/").map(decode);
  const repo = `${owner}/${model}`;
  if (action === undefined || action === "") return parseId(repo, parts);
  if (action === "tree") return parseId(repo, { ...parts, revision: revision ?? null });
  if ((action !== "resolve" && action !== "blob") || path.length === 0) throw invalid(shown, "address");
  return parseId(repo, { ...parts, revision: revision ?? null, file: path.join("/") });
}

/** Whether a model in the store is the one asked for, not another variant, revision or file of it. */
export function isOf(
  ref: ParsedRef,
  manifest: {
    id: string;
    files: Readonly<Record<string, string>>;
    source?: Pick<Parsed, "variant" | "revision" | "file"> | undefined;
  },
): boolean {
  if (manifest.id !== ref.id) return false;
  // Models that ship have one form.
  if (manifest.source === undefined) return true;
  const { variant, revision, file } = manifest.source;
  if (variant !== ref.variant || revision !== ref.revision || file !== ref.file) return false;
  return ref.sha256 === null || Object.values(manifest.files).includes(ref.sha256);
}

/** An address as it may appear in messages: without query and fragment, which may hold tokens and signatures. */
export function withoutSecrets(address: string | URL): string {
  const text = String(address);
  if (!URL.canParse(text)) return text.slice(0, 200);
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`.slice(0, 300);
}

function checkFile(name: string, file: string): void {
  if (file.length > 300 || !insidePath.safeParse(file).success) throw invalid(name, "file");
  if (!file.endsWith(".safetensors"))
    throw modelError("MODEL_NO_SAFETENSORS", { model: name.slice(0, 200), file });
}

function checkHash(name: string, sha256: string | null): void {
  if (sha256 !== null && !/^[0-9a-f]{64}$/.test(sha256)) throw invalid(name, "sha256");
}

function invalid(name: string, what: string) {
  return modelError("MODEL_REF_INVALID", { model: name.slice(0, 200), what });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
