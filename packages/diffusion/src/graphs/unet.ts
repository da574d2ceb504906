/**
 * The denoiser (`UNet2DConditionModel`): residual blocks down to a low resolution and up again, with skip
 * connections across and attention to the prompt in the blocks that ask for it.
 */
import { Graph, type Value } from "../onnx/graph.ts";
import type { Tensors } from "../safetensors.ts";
import {
  type Activation,
  activate,
  attention,
  conv,
  fromTokens,
  groupNorm,
  layerNorm,
  linear,
  resnet,
  Scope,
  toTokens,
  upsampleNearest,
} from "./layers.ts";

/** One resolution of the network. */
export type UNetLevel = {
  channels: number;
  layers: number;
  /** Transformer blocks per attention. */
  depth: number;
  heads: number;
  contextChannels: number;
  attentionDown: boolean;
  attentionUp: boolean;
};

export type UNetConfig = {
  inChannels: number;
  outChannels: number;
  levels: readonly [UNetLevel, ...UNetLevel[]];
  activation: Activation;
  groups: number;
  epsilon: number;
  linearProjection: boolean;
  downsamplePadding: number;
  time: { flipSinToCos: boolean; freqShift: number };
  /** Features of the strength of guidance that the network takes; 0 if guidance is left to the sampler. */
  guidanceChannels: number;
  /** Latents per side the model was trained for: height, width. */
  sampleSize: readonly [number, number];
};

/**
 * The graph's inputs are the latents, the features of the timestep (`timeFeatures`) and the text embeddings; with
 * guidance in the network also its features (`guidanceFeatures`).
 */
export const UNET_INPUTS = {
  sample: "sample",
  time: "time_features",
  context: "encoder_hidden_states",
  guidance: "guidance_features",
} as const;

/**
 * The graph `sample` [B, C, H, W], `time_features` [1, channels of the first level],
 * `encoder_hidden_states` [B, tokens, contextChannels], for some `guidance_features` [1, guidanceChannels] →
 * `noise` [B, C, H, W].
 *
 * @see https://arxiv.org/abs/2112.10752 section 3.3 and appendix E
 */
export function buildUNet(tensors: Tensors, config: UNetConfig): Uint8Array {
  const graph = new Graph(tensors);
  const root = new Scope(graph);
  const { levels, activation, groups, epsilon } = config;
  const first = levels[0];
  const lowest = levels.at(-1)!;
  const timeChannels = 4 * first.channels;

  const sample = graph.input(UNET_INPUTS.sample, "F32", ["B", config.inChannels, "H", "W"]);
  const features = graph.input(UNET_INPUTS.time, "F32", [1, first.channels]);
  const context = graph.input(UNET_INPUTS.context, "F32", ["B", "S", first.contextChannels]);

  const embedding = root.at("time_embedding");
  let conditioned = features;
  if (config.guidanceChannels > 0) {
    const guidance = graph.input(UNET_INPUTS.guidance, "F32", [1, config.guidanceChannels]);
    const projected = linear(
      embedding.at("cond_proj"),
      guidance,
      config.guidanceChannels,
      first.channels,
      false,
    );
    conditioned = graph.op("Add", [features, projected]);
  }
  const hiddenTime = activate(
    embedding,
    linear(embedding.at("linear_1"), conditioned, first.channels, timeChannels),
    activation,
  );
  const timeEmbedding = linear(embedding.at("linear_2"), hiddenTime, timeChannels, timeChannels);
  const time = { value: activate(embedding, timeEmbedding, activation), channels: timeChannels };
  const residual = (scope: Scope, x: Value, inputs: number, outputs: number): Value =>
    resnet(scope, x, { in: inputs, out: outputs, time, groups, epsilon, activation });
  const attend = (scope: Scope, x: Value, level: UNetLevel): Value =>
    transformer(scope, x, context, level, config);

  let hidden = conv(root.at("conv_in"), sample, { in: config.inChannels, out: first.channels });
  let channels = first.channels;
  const skips = [{ value: hidden, channels }];

  levels.forEach((level, i) => {
    const block = root.at("down_blocks", i);
    for (let j = 0; j < level.layers; j++) {
      hidden = residual(block.at("resnets", j), hidden, channels, level.channels);
      channels = level.channels;
      if (level.attentionDown) hidden = attend(block.at("attentions", j), hidden, level);
      skips.push({ value: hidden, channels });
    }
    if (level === lowest) return;
    hidden = conv(block.at("downsamplers.0.conv"), hidden, {
      in: channels,
      out: channels,
      stride: 2,
      padding: config.downsamplePadding,
    });
    skips.push({ value: hidden, channels });
  });

  const mid = root.at("mid_block");
  hidden = residual(mid.at("resnets", 0), hidden, channels, channels);
  hidden = attend(mid.at("attentions", 0), hidden, lowest);
  hidden = residual(mid.at("resnets", 1), hidden, channels, channels);

  levels.toReversed().forEach((level, i) => {
    const block = root.at("up_blocks", i);
    for (let j = 0; j <= level.layers; j++) {
      const skip = skips.pop()!;
      const joined = graph.op("Concat", [hidden, skip.value], { axis: 1 });
      hidden = residual(block.at("resnets", j), joined, channels + skip.channels, level.channels);
      channels = level.channels;
      if (level.attentionUp) hidden = attend(block.at("attentions", j), hidden, level);
    }
    if (level === first) return;
    const enlarged = upsampleNearest(block, hidden, skips.at(-1)!.value);
    hidden = conv(block.at("upsamplers.0.conv"), enlarged, { in: channels, out: channels });
  });

  const normal = activate(
    root,
    groupNorm(root.at("conv_norm_out"), hidden, channels, groups, epsilon),
    activation,
  );
  const noise = conv(root.at("conv_out"), normal, { in: channels, out: config.outChannels });
  graph.output("noise", noise, ["B", config.outChannels, "H", "W"]);
  return graph.encode();
}

/** `Transformer2DModel`: self-attention, attention to the prompt and a gated feed-forward, over the pixels as tokens. */
function transformer(scope: Scope, x: Value, context: Value, level: UNetLevel, config: UNetConfig): Value {
  const { graph } = scope;
  const { channels, contextChannels, heads } = level;
  const normal = groupNorm(scope.at("norm"), x, channels, config.groups, 1e-6);
  let tokens = config.linearProjection
    ? linear(scope.at("proj_in"), toTokens(scope, normal, channels), channels, channels)
    : toTokens(
        scope,
        conv(scope.at("proj_in"), normal, { in: channels, out: channels, kernel: 1 }),
        channels,
      );

  for (let i = 0; i < level.depth; i++) {
    const block = scope.at("transformer_blocks", i);
    const shape = { channels, heads, bias: false };
    const self = layerNorm(block.at("norm1"), tokens, channels, 1e-5);
    tokens = graph.op("Add", [
      tokens,
      attention(block.at("attn1"), self, self, { ...shape, contextChannels: channels }),
    ]);
    const cross = layerNorm(block.at("norm2"), tokens, channels, 1e-5);
    tokens = graph.op("Add", [
      tokens,
      attention(block.at("attn2"), cross, context, { ...shape, contextChannels }),
    ]);
    const wide = linear(
      block.at("ff.net.0.proj"),
      layerNorm(block.at("norm3"), tokens, channels, 1e-5),
      channels,
      8 * channels,
    );
    const [value, gate] = graph.split(wide, 2, -1) as [Value, Value];
    const gated = graph.op("Mul", [value, activate(block, gate, "gelu")]);
    tokens = graph.op("Add", [tokens, linear(block.at("ff.net.2"), gated, 4 * channels, channels)]);
  }

  const image = config.linearProjection
    ? fromTokens(scope, linear(scope.at("proj_out"), tokens, channels, channels), x)
    : conv(scope.at("proj_out"), fromTokens(scope, tokens, x), { in: channels, out: channels, kernel: 1 });
  return graph.op("Add", [image, x]);
}

/**
 * The sinusoidal features of a timestep, in the single precision that the reference computes them in.
 *
 * @see https://arxiv.org/abs/2006.11239 appendix B
 */
export function timeFeatures(config: UNetConfig, timestep: number): Float32Array {
  const size = config.levels[0].channels;
  const half = size >> 1;
  const features = new Float32Array(size);
  const [sinAt, cosAt] = config.time.flipSinToCos ? [half, 0] : [0, half];
  for (let i = 0; i < half; i++) {
    const exponent = Math.fround(Math.fround(-Math.log(10_000) * i) / (half - config.time.freqShift));
    const angle = Math.fround(timestep * Math.fround(Math.exp(exponent)));
    features[sinAt + i] = Math.sin(angle);
    features[cosAt + i] = Math.cos(angle);
  }
  return features;
}

/**
 * The sinusoidal features of a guidance strength, for networks that were distilled with it as an input.
 *
 * @see https://arxiv.org/abs/2310.04378 section 4.2
 */
export function guidanceFeatures(config: UNetConfig, cfg: number): Float32Array {
  const half = config.guidanceChannels >> 1;
  const features = new Float32Array(config.guidanceChannels);
  const rate = Math.fround(Math.fround(Math.log(10_000)) / (half - 1));
  const strength = Math.fround(Math.fround(cfg - 1) * 1000);
  for (let i = 0; i < half; i++) {
    const angle = Math.fround(strength * Math.fround(Math.exp(Math.fround(i * -rate))));
    features[i] = Math.sin(angle);
    features[half + i] = Math.cos(angle);
  }
  return features;
}
