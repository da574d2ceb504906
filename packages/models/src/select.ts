/**
 * Which of a repository's files make the model. The names are those that diffusers and transformers write; only
 * safetensors count as weights, each component comes in one precision, and files that carry code are never chosen.
 */
import { modelError } from "./errors.ts";
import { insidePath } from "./manifest.ts";

export type Selection = {
  paths: string[];
  /** Whether any weights were of the variant asked for. */
  hasVariant: boolean;
};

/** Without these a pipeline is none; the rest (safety checker, image encoder, …) may be missing. */
const essential = new Set([
  "unet",
  "vae",
  "text_encoder",
  "text_encoder_2",
  "tokenizer",
  "tokenizer_2",
  "scheduler",
]);
const stems = ["diffusion_pytorch_model", "model"];
const pickle = /\.(bin|ckpt|pt|pth|pkl|pickle)$/i;

/**
 * The files of a diffusers folder.
 * @param modelIndex What `model_index.json` says: component → [library, class].
 * @param variant Per component: its weights if there are any of that name, else the plain ones, as diffusers does.
 * @throws MODEL_NO_SAFETENSORS, MODEL_INCOMPLETE
 */
export function selectPipeline(
  paths: readonly string[],
  modelIndex: Readonly<Record<string, unknown>>,
  variant: string | null,
): Selection {
  const have = new Set(paths.filter(isPlain));
  const chosen = new Set(["model_index.json"]);
  let hasVariant = false;
  let parts = 0;
  for (const [component, value] of Object.entries(modelIndex)) {
    if (component.startsWith("_") || !Array.isArray(value) || typeof value[1] !== "string") continue;
    const inside = [...have].filter((path) => path.startsWith(`${component}/`));
    const found = filesOf(component, value[1], inside, paths, variant);
    if (found === undefined) continue;
    for (const path of found.paths) chosen.add(path);
    hasVariant ||= found.hasVariant;
    parts++;
  }
  if (parts === 0)
    throw modelError("MODEL_INCOMPLETE", { file: "model_index.json", reason: "names no component" });
  return { paths: [...chosen].sort(), hasVariant };
}

function filesOf(
  component: string,
  className: string,
  inside: readonly string[],
  all: readonly string[],
  variant: string | null,
): Selection | undefined {
  const plain = (names: RegExp) => inside.filter((path) => names.test(path.slice(component.length + 1)));
  const settings = (paths: string[], expected: string): Selection | undefined => {
    if (paths.length > 0) return { paths, hasVariant: false };
    if (!essential.has(component)) return undefined;
    throw modelError("MODEL_INCOMPLETE", { component, missing: expected });
  };
  if (/Tokenizer/.test(className)) return settings(plain(/^[^/]+\.(json|txt|model)$/), "tokenizer files");
  if (/Scheduler$|Solver/.test(className))
    return settings(plain(/^scheduler_config\.json$/), "scheduler_config.json");
  if (/(FeatureExtractor|Processor)$/.test(className))
    return settings(plain(/^(preprocessor|processor)_config\.json$/), "preprocessor_config.json");
  const weights = selectWeights(`${component}/`, inside, variant);
  if (weights !== undefined) return weights;
  if (!essential.has(component)) return undefined;
  if (all.some((path) => path.startsWith(`${component}/`) && pickle.test(path)))
    throw modelError("MODEL_NO_SAFETENSORS", { component });
  throw modelError("MODEL_INCOMPLETE", { component, missing: "weights" });
}

/**
 * `config.json` and the weights below a prefix, undefined if there are none: those of the variant, else the plain
 * ones, else (where only half precision was published as safetensors) fp16.
 * @throws MODEL_INCOMPLETE if shards or the configuration are missing
 */
export function selectWeights(
  prefix: string,
  paths: readonly string[],
  variant: string | null,
): Selection | undefined {
  const have = new Set(paths);
  for (const wanted of new Set([variant, null, "fp16"])) {
    for (const stem of stems) {
      const weights = singleOrShards(`${prefix}${stem}`, wanted, have);
      if (weights === undefined) continue;
      const config = `${prefix}config.json`;
      if (!have.has(config)) throw modelError("MODEL_INCOMPLETE", { missing: config });
      return { paths: [config, ...weights], hasVariant: wanted !== null && wanted === variant };
    }
  }
  return undefined;
}

function singleOrShards(
  stem: string,
  variant: string | null,
  have: ReadonlySet<string>,
): string[] | undefined {
  const dotted = variant === null ? "" : `.${variant}`;
  const single = `${stem}${dotted}.safetensors`;
  if (have.has(single)) return [single];
  const index = `${stem}.safetensors.index${dotted}.json`;
  if (!have.has(index)) return undefined;
  // Both orders were in use: stem-00001-of-00002.fp16 and stem.fp16-00001-of-00002.
  for (const name of [
    (part: string) => `${stem}-${part}${dotted}.safetensors`,
    (part: string) => `${stem}${dotted}-${part}.safetensors`,
  ]) {
    const count = [...have]
      .map((path) => /-00001-of-(\d{5})/.exec(path))
      .find((match) => match !== null && match.input === name(`00001-of-${match[1]}`))?.[1];
    if (count === undefined) continue;
    const shards = Array.from({ length: Number(count) }, (_, at) =>
      name(`${String(at + 1).padStart(5, "0")}-of-${count}`),
    );
    const missing = shards.find((path) => !have.has(path));
    if (missing !== undefined) throw modelError("MODEL_INCOMPLETE", { missing });
    return [index, ...shards];
  }
  throw modelError("MODEL_INCOMPLETE", { missing: `the shards of ${index}` });
}

/**
 * The files of a repository without `model_index.json`: a UNet, VAE or ControlNet with its configuration; else its
 * only safetensors file (a checkpoint, a LoRA, an embedding). Training state is left out.
 * @throws MODEL_NO_SAFETENSORS, MODEL_AMBIGUOUS, MODEL_INCOMPLETE
 */
export function selectLoose(paths: readonly string[], variant: string | null): Selection {
  const plain = paths.filter(isPlain);
  const top = plain.filter((path) => !path.includes("/"));
  if (top.includes("config.json")) {
    const weights = selectWeights("", top, variant);
    if (weights !== undefined) return weights;
  }
  const candidates = plain
    .filter((path) => path.endsWith(".safetensors"))
    .filter((path) => !/(scheduler|optimizer|checkpoint)/i.test(path));
  const usual = candidates.filter((path) => path.endsWith("pytorch_lora_weights.safetensors"));
  const narrowed = usual.length === 1 ? usual : candidates;
  if (narrowed.length === 1) return { paths: narrowed, hasVariant: false };
  if (narrowed.length > 1)
    throw modelError("MODEL_AMBIGUOUS", { candidates: narrowed.slice(0, 20).join(", ").slice(0, 500) });
  if (paths.some((path) => pickle.test(path))) throw modelError("MODEL_NO_SAFETENSORS", {});
  throw modelError("MODEL_INCOMPLETE", { missing: "weights" });
}

function isPlain(path: string): boolean {
  return insidePath.safeParse(path).success;
}
