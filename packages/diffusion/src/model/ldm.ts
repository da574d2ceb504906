/**
 * The layout in which Stable Diffusion was first published: all networks in one file, under the names of the latent
 * diffusion code. Tensors are only renamed, to what diffusers calls them; their bytes stay where they are.
 */
import { diffusionError } from "../errors.ts";
import type { TensorInfo, Tensors } from "../safetensors.ts";

/** Which text encoder there is, and with it what the shapes of the tensors do not tell. */
export type LdmFamily = "sd1" | "sd2";

export type LdmParts = { family: LdmFamily; textEncoder: Tensors; unet: Tensors; vae: Tensors };

const UNET = "model.diffusion_model.";
const VAE = "first_stage_model.";
const CLIP = "cond_stage_model.transformer.";
const OPEN_CLIP = "cond_stage_model.model.";

/**
 * @param file Named in errors.
 * @throws MODEL_UNSUPPORTED if the names are not those of SD 1.x or SD 2.x.
 */
export function splitLdm(tensors: Tensors, file: string): LdmParts {
  const family = familyOf(tensors, file);
  return {
    family,
    textEncoder:
      family === "sd1" ? withoutPrefix(tensors, CLIP) : renameOpenClip(withoutPrefix(tensors, OPEN_CLIP)),
    unet: renameUNet(withoutPrefix(tensors, UNET)),
    vae: renameVae(withoutPrefix(tensors, VAE)),
  };
}

function familyOf(tensors: Tensors, file: string): LdmFamily {
  const has = (prefix: string) => [...tensors.keys()].some((name) => name.startsWith(prefix));
  const unsupported = (reason: string) => diffusionError("MODEL_UNSUPPORTED", { file, reason });
  if (has("conditioner.embedders.")) throw unsupported("a Stable Diffusion XL checkpoint");
  if (!has(UNET)) throw unsupported("not a Stable Diffusion checkpoint in one file");
  if (!has(VAE)) throw unsupported("a checkpoint without its VAE");
  if (has(CLIP)) return "sd1";
  if (has(OPEN_CLIP)) return "sd2";
  throw unsupported("a checkpoint without a text encoder of SD 1.x or SD 2.x");
}

function withoutPrefix(tensors: Tensors, prefix: string): Tensors {
  return new Map(
    [...tensors]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, info]) => [name.slice(prefix.length), info]),
  );
}

const RESNET_LAYERS: ReadonlyMap<string, string> = new Map([
  ["in_layers.0", "norm1"],
  ["in_layers.2", "conv1"],
  ["out_layers.0", "norm2"],
  ["out_layers.3", "conv2"],
  ["emb_layers.1", "time_emb_proj"],
]);

/** Blocks are numbered through in this layout; where a resolution ends shows in what a block is made of. */
function renameUNet(tensors: Tensors): Tensors {
  const places = new Map([
    ["time_embed.0", "time_embedding.linear_1"],
    ["time_embed.2", "time_embedding.linear_2"],
    ["time_embed.cond_proj", "time_embedding.cond_proj"],
    ["input_blocks.0.0", "conv_in"],
    ["middle_block.0", "mid_block.resnets.0"],
    ["middle_block.1", "mid_block.attentions.0"],
    ["middle_block.2", "mid_block.resnets.1"],
    ["out.0", "conv_norm_out"],
    ["out.2", "conv_out"],
  ]);
  let [level, layer] = [0, 0];
  for (let i = 1; ; i++) {
    const block = `input_blocks.${i}`;
    if (tensors.has(`${block}.0.op.weight`)) {
      places.set(`${block}.0.op`, `down_blocks.${level++}.downsamplers.0.conv`);
      layer = 0;
    } else if (tensors.has(`${block}.0.in_layers.0.weight`)) {
      places.set(`${block}.0`, `down_blocks.${level}.resnets.${layer}`);
      places.set(`${block}.1`, `down_blocks.${level}.attentions.${layer++}`);
    } else break;
  }
  [level, layer] = [0, 0];
  for (let i = 0; tensors.has(`output_blocks.${i}.0.in_layers.0.weight`); i++) {
    const block = `output_blocks.${i}`;
    places.set(`${block}.0`, `up_blocks.${level}.resnets.${layer}`);
    places.set(`${block}.1`, `up_blocks.${level}.attentions.${layer++}`);
    for (const upsampler of [`${block}.1.conv`, `${block}.2.conv`]) {
      if (!tensors.has(`${upsampler}.weight`)) continue;
      places.set(upsampler, `up_blocks.${level++}.upsamplers.0.conv`);
      layer = 0;
    }
  }
  return renamed(tensors, (name) => {
    const words = name.split(".");
    for (let count = Math.min(4, words.length); count > 0; count--) {
      const place = places.get(words.slice(0, count).join("."));
      if (place === undefined) continue;
      const rest = words.slice(count);
      const layers = RESNET_LAYERS.get(rest.slice(0, 2).join("."));
      if (layers !== undefined) return [place, layers, ...rest.slice(2)].join(".");
      if (rest[0] === "skip_connection") rest[0] = "conv_shortcut";
      return [place, ...rest].join(".");
    }
    return name;
  });
}

const VAE_ATTENTION: ReadonlyMap<string, string> = new Map([
  ["norm", "group_norm"],
  ["q", "to_q"],
  ["k", "to_k"],
  ["v", "to_v"],
  ["proj_out", "to_out.0"],
]);

/** The decoder's resolutions are numbered from the highest in this layout, and in diffusers from the lowest. */
function renameVae(tensors: Tensors): Tensors {
  const levels = new Set([...tensors.keys()].map((name) => /^decoder\.up\.(\d+)\./.exec(name)?.[1]));
  levels.delete(undefined);
  const blockOf = (side: string, level: string) =>
    side === "up" ? `up_blocks.${levels.size - 1 - Number(level)}` : `down_blocks.${level}`;
  return renamed(tensors, (name) =>
    name
      .replace(
        /\.(up|down)\.(\d+)\.block\.(\d+)\./,
        (_, side, level, i) => `.${blockOf(side, level)}.resnets.${i}.`,
      )
      .replace(
        /\.(up|down)\.(\d+)\.((?:up|down)sample)\./,
        (_, side, level, kind) => `.${blockOf(side, level)}.${kind}rs.0.`,
      )
      .replace(/\.mid\.block_([12])\./, (_, i) => `.mid_block.resnets.${i - 1}.`)
      .replace(
        /\.mid\.attn_1\.(\w+)\./,
        (_, layer) => `.mid_block.attentions.0.${VAE_ATTENTION.get(layer) ?? layer}.`,
      )
      .replace(".nin_shortcut.", ".conv_shortcut.")
      .replace("coder.norm_out.", "coder.conv_norm_out."),
  );
}

const OPEN_CLIP_LAYERS: ReadonlyMap<string, string> = new Map([
  ["ln_1", "layer_norm1"],
  ["ln_2", "layer_norm2"],
  ["mlp.c_fc", "mlp.fc1"],
  ["mlp.c_proj", "mlp.fc2"],
  ["attn.out_proj", "self_attn.out_proj"],
]);

/** OpenCLIP keeps the projections to queries, keys and values in one tensor, one below the other. */
function renameOpenClip(tensors: Tensors): Tensors {
  const result = new Map<string, TensorInfo>();
  for (const [name, info] of tensors) {
    const [, layer, rest] = /^transformer\.resblocks\.(\d+)\.(.*)$/.exec(name) ?? [];
    if (layer === undefined) {
      result.set(OPEN_CLIP_PLACES.get(name) ?? name, info);
      continue;
    }
    const prefix = `text_model.encoder.layers.${layer}`;
    const projections = /^attn\.in_proj_(weight|bias)$/.exec(rest!);
    if (projections !== null) {
      for (const [i, part] of ["q_proj", "k_proj", "v_proj"].entries()) {
        result.set(`${prefix}.self_attn.${part}.${projections[1]}`, rowsOf(info, i, 3));
      }
      continue;
    }
    const [, stem, kind] = /^(.*)\.(weight|bias)$/.exec(rest!) ?? [];
    result.set(`${prefix}.${OPEN_CLIP_LAYERS.get(stem ?? "") ?? stem}.${kind}`, info);
  }
  return result;
}

const OPEN_CLIP_PLACES: ReadonlyMap<string, string> = new Map([
  ["token_embedding.weight", "text_model.embeddings.token_embedding.weight"],
  ["positional_embedding", "text_model.embeddings.position_embedding.weight"],
  ["ln_final.weight", "text_model.final_layer_norm.weight"],
  ["ln_final.bias", "text_model.final_layer_norm.bias"],
]);

/** One of equal parts of a tensor along its first axis, where it lies. */
function rowsOf(info: TensorInfo, part: number, parts: number): TensorInfo {
  const [rows = 0, ...rest] = info.shape;
  // What cannot be divided keeps its shape, and is refused for it when the graph is built.
  if (rows % parts !== 0) return info;
  const lengthBytes = info.lengthBytes / parts;
  return {
    ...info,
    shape: [rows / parts, ...rest],
    offsetBytes: info.offsetBytes + part * lengthBytes,
    lengthBytes,
  };
}

function renamed(tensors: Tensors, rename: (name: string) => string): Tensors {
  return new Map([...tensors].map(([name, info]) => [rename(name), info]));
}
