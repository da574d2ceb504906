/** A whole model in one safetensors file: its layout is told from the names in its header, its sizes from the shapes. */
import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readSafetensorsFile, type Safetensors, type Tensors } from "../safetensors.ts";
import { parseClipText, parseUNet, parseVae } from "./configs.ts";
import { Fields, modelFileErrors } from "./fields.ts";
import { createModelFiles } from "./files.ts";
import { checkFit, type ModelFolder, type Part } from "./folder.ts";
import { type LdmFamily, splitLdm } from "./ldm.ts";
import {
  clipTextConfigOf,
  type RawConfig,
  schedulerConfigOf,
  unetConfigOf,
  vaeConfigOf,
} from "./ldm-configs.ts";
import { builtInTokenizer, readTokenizer } from "./tokenizer-files.ts";

/** The name that the file has in the model's hash, whatever it is called on disk. */
const FILE = "model.safetensors";

/**
 * Reads everything but the weights.
 *
 * @param tokenizerDir Default: CLIP's published tokenizer.
 * @throws MODEL_FILE_MISSING, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED, MODEL_WEIGHTS_INVALID, MODEL_TENSOR_MISSING,
 * MODEL_TOKENIZER_INVALID
 */
export async function readSingleFile(path: string, tokenizerDir?: string): Promise<ModelFolder> {
  const real = await realpath(path);
  const files = createModelFiles((name) =>
    name === FILE ? real : join(tokenizerDir ?? dirname(real), name.slice("tokenizer/".length)),
  );
  files.add(FILE);
  const header = await readSafetensorsFile(real);
  const { family, ...tensors } = splitLdm(header.tensors, basename(path));
  const part = <Config>(
    own: Tensors,
    parse: (fields: Fields) => Config,
    config: RawConfig,
  ): Part<Config> => ({
    config: parse(new Fields(config, modelFileErrors(basename(path)))),
    tensors: own,
    directory: dirname(real),
  });

  const prediction = predictionOf(header, family);
  const sampleSize = family === "sd2" && prediction === "v_prediction" ? 96 : 64;
  const textEncoder = part(tensors.textEncoder, parseClipText, clipTextConfigOf(tensors.textEncoder, family));
  const unet = part(tensors.unet, parseUNet, unetConfigOf(tensors.unet, family, sampleSize));
  const vae = part(tensors.vae, parseVae, vaeConfigOf(tensors.vae));
  checkFit({ textEncoder, unet, vae }, basename(path));
  const tokenizer =
    tokenizerDir === undefined
      ? await builtInTokenizer(textEncoder.config, family === "sd1" ? "<|endoftext|>" : "!")
      : await readTokenizer(files, textEncoder.config);
  const scheduler = schedulerConfigOf(prediction, header.tensors.has("ztsnr"));
  return { tokenizer, textEncoder, unet, vae, scheduler, files: files.read() };
}

/**
 * What the denoiser predicts: as the file says, in the way of the model specification or by the empty tensor that
 * finetunes are marked with; otherwise noise for SD 1.x and v for SD 2.x, whose base model does not say that it differs.
 *
 * @see https://github.com/Stability-AI/ModelSpec
 */
function predictionOf({ tensors, metadata }: Safetensors, family: LdmFamily): "epsilon" | "v_prediction" {
  const said = metadata["modelspec.prediction_type"];
  if (said === "epsilon") return "epsilon";
  return said === "v" || tensors.has("v_pred") || family === "sd2" ? "v_prediction" : "epsilon";
}
