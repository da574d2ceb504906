/** From the `config.json` of each part to what the graph builders need; the defaults are those of diffusers. */
import type { ClipTextConfig } from "../graphs/clip-text.ts";
import type { Activation } from "../graphs/layers.ts";
import type { UNetConfig, UNetLevel } from "../graphs/unet.ts";
import type { VaeConfig } from "../graphs/vae.ts";
import type { Fields } from "./fields.ts";

export function parseClipText(fields: Fields): ClipTextConfig {
  return {
    vocabSize: fields.count("vocab_size", 49_408),
    hiddenSize: fields.count("hidden_size", 512),
    intermediateSize: fields.count("intermediate_size", 2048),
    layers: fields.count("num_hidden_layers", 12),
    heads: fields.count("num_attention_heads", 8),
    maxPositions: fields.count("max_position_embeddings", 77),
    activation: fields.oneOf("hidden_act", ["quick_gelu", "gelu"], "quick_gelu"),
    layerNormEpsilon: fields.number("layer_norm_eps", 1e-5),
  };
}

export function parseUNet(fields: Fields): UNetConfig {
  rejectOtherTopologies(fields);
  const channels = fields.counts("block_out_channels", [320, 640, 1280, 1280]);
  const levels = channels.length;
  const crossDown = "CrossAttnDownBlock2D";
  const crossUp = "CrossAttnUpBlock2D";
  const down = fields.texts("down_block_types", [crossDown, crossDown, crossDown, "DownBlock2D"]);
  const up = fields.texts("up_block_types", ["UpBlock2D", crossUp, crossUp, crossUp]);
  if (down.length !== levels) throw fields.invalid("down_block_types");
  if (up.length !== levels) throw fields.invalid("up_block_types");
  if (down.some((type) => type !== crossDown && type !== "DownBlock2D")) {
    throw fields.unsupported("down_block_types");
  }
  if (up.some((type) => type !== crossUp && type !== "UpBlock2D")) throw fields.unsupported("up_block_types");

  const layers = fields.countEach("layers_per_block", levels, 2);
  const depths = fields.countEach("transformer_layers_per_block", levels, 1);
  // The name is a historical mistake of diffusers: the value is the number of heads.
  const heads = fields.countEach("attention_head_dim", levels, 8);
  const contexts = fields.countEach("cross_attention_dim", levels, 1280);
  if (new Set(contexts).size > 1) throw fields.unsupported("cross_attention_dim");
  const groups = fields.count("norm_num_groups", 32);
  if (channels.some((count) => count % groups !== 0)) throw fields.invalid("norm_num_groups");
  if (channels.some((count, i) => count % heads[i]! !== 0)) throw fields.invalid("attention_head_dim");

  fields.oneOf("mid_block_type", ["UNetMidBlock2DCrossAttn"], "UNetMidBlock2DCrossAttn");
  const sample = fields.raw("sample_size") ?? 64;
  const [height, width] = Array.isArray(sample)
    ? fields.counts("sample_size")
    : [fields.count("sample_size", 64)];

  return {
    inChannels: fields.count("in_channels", 4),
    outChannels: fields.count("out_channels", 4),
    levels: channels.map(
      (count, i): UNetLevel => ({
        channels: count,
        layers: layers[i]!,
        depth: depths[i]!,
        heads: heads[i]!,
        contextChannels: contexts[i]!,
        attentionDown: down[i] === crossDown,
        attentionUp: up[levels - 1 - i] === crossUp,
      }),
    ) as [UNetLevel, ...UNetLevel[]],
    activation: parseActivation(fields, "silu"),
    groups,
    epsilon: fields.number("norm_eps", 1e-5),
    linearProjection: fields.flag("use_linear_projection", false),
    downsamplePadding: fields.count("downsample_padding", 1),
    time: {
      flipSinToCos: fields.flag("flip_sin_to_cos", true),
      freqShift: fields.number("freq_shift", 0),
    },
    guidanceChannels: fields.whole("time_cond_proj_dim", 0),
    sampleSize: [height!, width ?? height!],
  };
}

export function parseVae(fields: Fields): VaeConfig {
  const kind = fields.oneOf("_class_name", ["AutoencoderKL", "AutoencoderTiny"], "AutoencoderKL");
  const common = {
    latentChannels: fields.count("latent_channels", 4),
    outChannels: fields.count("out_channels", 3),
  };
  if (common.outChannels !== 3) throw fields.unsupported("out_channels");
  if (kind === "AutoencoderTiny") {
    fields.only("upsample_fn", "nearest");
    fields.only("upsampling_scaling_factor", 2);
    const blockChannels = fields.counts("decoder_block_out_channels", [64, 64, 64, 64]);
    const blocks = fields.counts("num_decoder_blocks", [3, 3, 3, 1]);
    if (blocks.length !== blockChannels.length || new Set(blockChannels).size > 1) {
      throw fields.invalid("decoder_block_out_channels");
    }
    const scalingFactor = fields.number("scaling_factor", 1);
    return {
      ...common,
      kind: "tiny",
      activation: parseActivation(fields, "relu"),
      scalingFactor,
      blockChannels,
      blocks,
    };
  }
  const blockChannels = fields.counts("block_out_channels", [64]);
  const blockTypes = fields.texts("up_block_types", ["UpDecoderBlock2D"]);
  if (blockTypes.length !== blockChannels.length) throw fields.invalid("up_block_types");
  if (blockTypes.some((type) => type !== "UpDecoderBlock2D")) throw fields.unsupported("up_block_types");
  const groups = fields.count("norm_num_groups", 32);
  if (blockChannels.some((count) => count % groups !== 0)) throw fields.invalid("norm_num_groups");
  return {
    ...common,
    kind: "kl",
    activation: parseActivation(fields, "silu"),
    scalingFactor: fields.number("scaling_factor", 0.18215),
    blockChannels,
    layers: fields.count("layers_per_block", 1),
    groups,
    postQuantConv: fields.flag("use_post_quant_conv", true),
    midAttention: fields.flag("mid_block_add_attention", true),
  };
}

function parseActivation(fields: Fields, fallback: Activation): Activation {
  const name = fields.oneOf("act_fn", ["silu", "swish", "mish", "gelu", "relu"], fallback as "silu");
  return name === "swish" ? "silu" : name;
}

/** Settings of SDXL, inpainting through class labels, IF and others, which need more than SD 1.x has. */
function rejectOtherTopologies(fields: Fields): void {
  const neutral = {
    num_attention_heads: undefined,
    center_input_sample: false,
    only_cross_attention: false,
    mid_block_only_cross_attention: false,
    mid_block_scale_factor: 1,
    dual_cross_attention: false,
    reverse_transformer_layers_per_block: undefined,
    encoder_hid_dim: undefined,
    encoder_hid_dim_type: undefined,
    class_embed_type: undefined,
    num_class_embeds: undefined,
    class_embeddings_concat: false,
    addition_embed_type: undefined,
    resnet_time_scale_shift: "default",
    resnet_skip_time_act: false,
    resnet_out_scale_factor: 1,
    time_embedding_type: "positional",
    time_embedding_dim: undefined,
    time_embedding_act_fn: undefined,
    timestep_post_act: undefined,
    conv_in_kernel: 3,
    conv_out_kernel: 3,
    attention_type: "default",
    cross_attention_norm: undefined,
  };
  for (const [key, value] of Object.entries(neutral)) fields.only(key, value);
}
