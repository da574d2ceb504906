/**
 * The configuration of a checkpoint that brings none: sizes from the shapes of its tensors, and what they do not tell
 * (heads, activations, the size of pictures) from its family. The results are what diffusers would have written.
 */
import { diffusionError } from "../errors.ts";
import type { Tensors } from "../safetensors.ts";
import type { LdmFamily } from "./ldm.ts";

export type RawConfig = Readonly<Record<string, unknown>>;

/** @throws MODEL_TENSOR_MISSING */
export function clipTextConfigOf(tensors: Tensors, family: LdmFamily): RawConfig {
  const root = tensors.has("text_model.embeddings.token_embedding.weight") ? "text_model." : "";
  const shape = (name: string) => shapeOf(tensors, `${root}${name}`);
  const [vocabSize, hiddenSize] = shape("embeddings.token_embedding.weight");
  const layers = countUp((i) => tensors.has(`${root}encoder.layers.${i}.layer_norm1.weight`));
  return {
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: shape("encoder.layers.0.mlp.fc1.weight")[0],
    // SD 2.x takes what the last layer but one puts out.
    num_hidden_layers: family === "sd1" ? layers : layers - 1,
    num_attention_heads: hiddenSize / 64,
    max_position_embeddings: shape("embeddings.position_embedding.weight")[0],
    hidden_act: family === "sd1" ? "quick_gelu" : "gelu",
  };
}

/** @throws MODEL_TENSOR_MISSING */
export function unetConfigOf(tensors: Tensors, family: LdmFamily, sampleSize: number): RawConfig {
  const levels = countUp((i) => tensors.has(`down_blocks.${i}.resnets.0.norm1.weight`));
  const depthAt = (attention: string) =>
    countUp((i) => tensors.has(`${attention}.transformer_blocks.${i}.norm1.weight`));
  const blocks = Array.from({ length: levels }, (_, i) => {
    const channels = shapeOf(tensors, `down_blocks.${i}.resnets.0.conv1.weight`)[0];
    const depth = depthAt(`down_blocks.${i}.attentions.0`);
    // The middle block has the heads and the depth of the lowest level, which has no attention of its own.
    const attends = depth > 0 || i === levels - 1;
    return {
      channels,
      down: depth > 0 ? "CrossAttnDownBlock2D" : "DownBlock2D",
      up: depthAt(`up_blocks.${i}.attentions.0`) > 0 ? "CrossAttnUpBlock2D" : "UpBlock2D",
      layers: countUp((j) => tensors.has(`down_blocks.${i}.resnets.${j}.norm1.weight`)),
      depth: depth || (i === levels - 1 ? depthAt("mid_block.attentions.0") : 1),
      heads: family === "sd1" ? 8 : attends ? channels / 64 : 1,
    };
  });
  const middle = "mid_block.attentions.0";
  return {
    sample_size: sampleSize,
    in_channels: shapeOf(tensors, "conv_in.weight")[1],
    out_channels: shapeOf(tensors, "conv_out.weight")[0],
    block_out_channels: blocks.map(({ channels }) => channels),
    down_block_types: blocks.map(({ down }) => down),
    up_block_types: blocks.map(({ up }) => up),
    layers_per_block: blocks.map(({ layers }) => layers),
    transformer_layers_per_block: blocks.map(({ depth }) => depth),
    attention_head_dim: blocks.map(({ heads }) => heads),
    cross_attention_dim: shapeOf(tensors, `${middle}.transformer_blocks.0.attn2.to_k.weight`)[1],
    use_linear_projection: tensors.get(`${middle}.proj_in.weight`)?.shape.length === 2,
    time_cond_proj_dim: tensors.get("time_embedding.cond_proj.weight")?.shape[1],
  };
}

/** @throws MODEL_TENSOR_MISSING */
export function vaeConfigOf(tensors: Tensors): RawConfig {
  const levels = countUp((i) => tensors.has(`decoder.up_blocks.${i}.resnets.0.norm1.weight`));
  const channels = Array.from(
    { length: levels },
    (_, i) => shapeOf(tensors, `decoder.up_blocks.${levels - 1 - i}.resnets.0.conv1.weight`)[0],
  );
  const resnets = countUp((i) => tensors.has(`decoder.up_blocks.0.resnets.${i}.norm1.weight`));
  return {
    latent_channels: shapeOf(tensors, "decoder.conv_in.weight")[1],
    out_channels: shapeOf(tensors, "decoder.conv_out.weight")[0],
    block_out_channels: channels,
    up_block_types: channels.map(() => "UpDecoderBlock2D"),
    layers_per_block: resnets - 1,
    scaling_factor: 0.18215,
    use_post_quant_conv: tensors.has("post_quant_conv.weight"),
    mid_block_add_attention: tensors.has("decoder.mid_block.attentions.0.group_norm.weight"),
  };
}

/** What SD 1.x and SD 2.x were trained with. */
export function schedulerConfigOf(prediction: "epsilon" | "v_prediction", zeroSnr: boolean): RawConfig {
  return {
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: "scaled_linear",
    num_train_timesteps: 1000,
    clip_sample: false,
    set_alpha_to_one: false,
    skip_prk_steps: true,
    steps_offset: 1,
    prediction_type: prediction,
    ...(zeroSnr && { rescale_betas_zero_snr: true }),
  };
}

/** The first two sizes of a tensor, 0 for one that it does not have: no configuration takes that. */
function shapeOf(tensors: Tensors, name: string): [number, number] {
  const info = tensors.get(name);
  if (info === undefined) throw diffusionError("MODEL_TENSOR_MISSING", { tensor: name });
  return [info.shape[0] ?? 0, info.shape[1] ?? 0];
}

function countUp(has: (index: number) => boolean): number {
  let count = 0;
  while (has(count)) count++;
  return count;
}
