/** The two decoders from latents to pixels: `AutoencoderKL` and the distilled `AutoencoderTiny`. */
import { Graph } from "../onnx/graph.ts";
import type { Tensors } from "../safetensors.ts";
import {
  type Activation,
  activate,
  attention,
  conv,
  fromTokens,
  groupNorm,
  resnet,
  Scope,
  toTokens,
  upsampleNearest,
} from "./layers.ts";

type VaeCommon = {
  latentChannels: number;
  outChannels: number;
  activation: Activation;
  /** Latents are divided by it before they are decoded. */
  scalingFactor: number;
  /** Channels at each resolution, as the configuration lists them. */
  blockChannels: readonly number[];
};

export type VaeKlConfig = VaeCommon & {
  kind: "kl";
  layers: number;
  groups: number;
  postQuantConv: boolean;
  midAttention: boolean;
};

export type VaeTinyConfig = VaeCommon & { kind: "tiny"; blocks: readonly number[] };

export type VaeConfig = VaeKlConfig | VaeTinyConfig;

/** The graph `latents` [B, latentChannels, h, w] → `image` [B, outChannels, H, W], in about −1…1. */
export function buildVaeDecoder(tensors: Tensors, config: VaeConfig): Uint8Array {
  const graph = new Graph(renameOldAttention(tensors));
  const latents = graph.input("latents", "F32", ["B", config.latentChannels, "h", "w"]);
  const image = config.kind === "kl" ? decodeKl(graph, latents, config) : decodeTiny(graph, latents, config);
  graph.output("image", image, ["B", config.outChannels, "H", "W"]);
  return graph.encode();
}

/** @see https://arxiv.org/abs/2112.10752 appendix G */
function decodeKl(graph: Graph, latents: string, config: VaeKlConfig): string {
  const root = new Scope(graph);
  const { groups, activation } = config;
  const widths = config.blockChannels.toReversed();
  let channels = widths[0]!;
  const residual = (scope: Scope, x: string, outputs: number): string =>
    resnet(scope, x, { in: channels, out: outputs, groups, epsilon: 1e-6, activation });

  const latent = { in: config.latentChannels, out: config.latentChannels, kernel: 1 };
  let hidden = config.postQuantConv ? conv(root.at("post_quant_conv"), latents, latent) : latents;
  const decoder = root.at("decoder");
  hidden = conv(decoder.at("conv_in"), hidden, { in: config.latentChannels, out: channels });

  const mid = decoder.at("mid_block");
  hidden = residual(mid.at("resnets", 0), hidden, channels);
  if (config.midAttention) {
    const scope = mid.at("attentions", 0);
    const tokens = toTokens(
      scope,
      groupNorm(scope.at("group_norm"), hidden, channels, groups, 1e-6),
      channels,
    );
    const mixed = attention(scope, tokens, tokens, {
      channels,
      contextChannels: channels,
      heads: 1,
      bias: true,
    });
    hidden = graph.op("Add", [fromTokens(scope, mixed, hidden), hidden]);
  }
  hidden = residual(mid.at("resnets", 1), hidden, channels);

  widths.forEach((width, i) => {
    const block = decoder.at("up_blocks", i);
    for (let j = 0; j <= config.layers; j++) {
      hidden = residual(block.at("resnets", j), hidden, width);
      channels = width;
    }
    if (i === widths.length - 1) return;
    hidden = conv(block.at("upsamplers.0.conv"), upsampleNearest(block, hidden), { in: width, out: width });
  });
  const normal = groupNorm(decoder.at("conv_norm_out"), hidden, channels, groups, 1e-6);
  return conv(decoder.at("conv_out"), activate(decoder, normal, "silu"), {
    in: channels,
    out: config.outChannels,
  });
}

/** @see https://github.com/madebyollin/taesd */
function decodeTiny(graph: Graph, latents: string, config: VaeTinyConfig): string {
  const layers = new Scope(graph, "decoder.layers");
  const { activation, blockChannels, blocks } = config;
  const three = graph.floats([3], []);
  let hidden = graph.op("Mul", [graph.op("Tanh", [graph.op("Div", [latents, three])]), three]);
  // The weights are those of one long sequence: activations and enlargements count as layers too.
  let layer = 0;
  hidden = activate(
    layers,
    conv(layers.at(layer++), hidden, {
      in: config.latentChannels,
      out: blockChannels[0]!,
    }),
    activation,
  );
  layer++;
  blocks.forEach((count, i) => {
    const width = blockChannels[i]!;
    const last = i === blocks.length - 1;
    for (let j = 0; j < count; j++) hidden = tinyBlock(layers.at(layer++), hidden, width, activation);
    if (!last) {
      hidden = upsampleNearest(layers, hidden);
      layer++;
    }
    const out = last ? config.outChannels : width;
    hidden = conv(layers.at(layer++), hidden, { in: width, out, bias: last });
  });
  return graph.op("Sub", [graph.op("Mul", [hidden, graph.floats([2], [])]), graph.floats([1], [])]);
}

function tinyBlock(scope: Scope, x: string, channels: number, activation: Activation): string {
  const shape = { in: channels, out: channels };
  const first = activate(scope, conv(scope.at("conv", 0), x, shape), activation);
  const second = activate(scope, conv(scope.at("conv", 2), first, shape), activation);
  const third = conv(scope.at("conv", 4), second, shape);
  return scope.graph.op("Relu", [scope.graph.op("Add", [third, x])]);
}

/** Checkpoints from before diffusers 0.18 call the middle attention's projections otherwise. */
function renameOldAttention(tensors: Tensors): Tensors {
  const names = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };
  return new Map(
    [...tensors].map(([name, info]) => {
      const match = /^(decoder\.mid_block\.attentions\.0\.)(query|key|value|proj_attn)(\..*)$/.exec(name);
      return [match ? `${match[1]}${names[match[2] as keyof typeof names]}${match[3]}` : name, info];
    }),
  );
}
