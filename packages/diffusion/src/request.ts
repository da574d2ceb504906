import { diffusionError } from "./errors.ts";
import type { TextualInversion } from "./prompt/textual-inversion.ts";

export type GenerateRequest = {
  /** In the language of Compel 2.4, as in docs/prompts.md; plain text means itself. */
  prompt: string;
  /** Default empty. It has no effect without guidance. */
  negativePrompt?: string;
  /** Default: the size the model was trained for. */
  widthPx?: number;
  heightPx?: number;
  steps: number;
  /** Strength of classifier-free guidance; 1 and below mean none. */
  cfg: number;
  seed: number;
  /** Words for the prompts that the model does not know, from files. Default none. */
  textualInversions?: readonly TextualInversion[];
  /** Images are made one after the other from one stream of noise, so the first is that of `numImages: 1`. */
  numImages: number;
  /**
   * The class in diffusers, one of `schedulerMethods`; others are SCHEDULER_UNSUPPORTED. Arguments that are not null
   * override the model's own scheduler settings.
   */
  scheduler: { method: string; args?: Readonly<Record<string, unknown>> | null };
};

export type CheckedRequest = Required<GenerateRequest>;

const MAX_SIDE_PX = 8192;

/** @throws ARGS_INVALID, ARGS_SIZE_INVALID */
export function checkRequest(
  request: GenerateRequest,
  model: { widthPx: number; heightPx: number; multiplePx: number },
): CheckedRequest {
  const {
    widthPx = model.widthPx,
    heightPx = model.heightPx,
    negativePrompt = "",
    textualInversions = [],
  } = request;
  for (const [name, value] of Object.entries({ widthPx, heightPx })) {
    if (!isInteger(value, 1, MAX_SIDE_PX) || value % model.multiplePx !== 0) {
      throw diffusionError("ARGS_SIZE_INVALID", {
        [name]: value,
        multipleOf: model.multiplePx,
        maximum: MAX_SIDE_PX,
      });
    }
  }
  const check = (name: keyof GenerateRequest, valid: boolean) => {
    if (!valid)
      throw diffusionError("ARGS_INVALID", { field: name, value: String(request[name]).slice(0, 100) });
  };
  check("prompt", typeof request.prompt === "string");
  check("negativePrompt", typeof negativePrompt === "string");
  check("steps", isInteger(request.steps, 1, 1000));
  check("cfg", Number.isFinite(request.cfg) && request.cfg >= 0 && request.cfg <= 1000);
  check("seed", isInteger(request.seed, 0, Number.MAX_SAFE_INTEGER));
  check("numImages", isInteger(request.numImages, 1, 100));
  check("textualInversions", Array.isArray(textualInversions) && textualInversions.every(isTextualInversion));
  return { ...request, widthPx, heightPx, negativePrompt, textualInversions };
}

function isTextualInversion(value: unknown): boolean {
  const { path, token = "" } = (value ?? {}) as Record<string, unknown>;
  return typeof path === "string" && typeof token === "string";
}

function isInteger(value: number, minimum: number, maximum: number): boolean {
  return Number.isInteger(value) && value >= minimum && value <= maximum;
}
