/** The layers that all parts of a Stable Diffusion model are made of, written as ONNX operators. Values are fp32, NCHW. */
import type { Graph, Value } from "../onnx/graph.ts";

/** A place in the tree of tensor names, such as `down_blocks.0.resnets.1`. */
export class Scope {
  readonly graph: Graph;
  readonly #path: string;

  constructor(graph: Graph, path = "") {
    this.graph = graph;
    this.#path = path;
  }

  at(...names: readonly (string | number)[]): Scope {
    return new Scope(this.graph, [this.#path, ...names].filter((name) => name !== "").join("."));
  }

  has(name: string): boolean {
    return this.graph.has(this.at(name).#path);
  }

  weight(name: string, shape: readonly number[]): Value {
    return this.graph.weight(this.at(name).#path, shape);
  }
}

export type Activation = "silu" | "mish" | "gelu" | "relu" | "quick_gelu";

export function activate({ graph }: Scope, x: Value, activation: Activation): Value {
  switch (activation) {
    case "silu":
      return graph.fused("QuickGelu", [x], { alpha: { float: 1 } });
    case "quick_gelu":
      return graph.fused("QuickGelu", [x], { alpha: { float: 1.702 } });
    case "gelu":
      return graph.fused("Gelu", [x]);
    case "relu":
      return graph.op("Relu", [x]);
    case "mish":
      return graph.op("Mul", [x, graph.op("Tanh", [graph.op("Softplus", [x])])]);
  }
}

export type ConvShape = {
  in: number;
  out: number;
  /** Side of the square kernel; default 3. */
  kernel?: number;
  stride?: number;
  /** On every side; default what keeps the size at stride 1. */
  padding?: number;
  /** Default true. */
  bias?: boolean;
};

export function conv(scope: Scope, x: Value, shape: ConvShape): Value {
  const { kernel = 3, stride = 1, bias = true } = shape;
  const padding = shape.padding ?? (kernel - 1) >> 1;
  const weights = [scope.weight("weight", [shape.out, shape.in, kernel, kernel])];
  if (bias) weights.push(scope.weight("bias", [shape.out]));
  return scope.graph.op("Conv", [x, ...weights], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
  });
}

/** y = x Wᵀ + b over the last axis. */
export function linear(scope: Scope, x: Value, inputs: number, outputs: number, bias = true): Value {
  const { graph } = scope;
  const product = graph.fused("FusedMatMul", [x, scope.weight("weight", [outputs, inputs])], { transB: 1 });
  return bias ? graph.op("Add", [product, scope.weight("bias", [outputs])]) : product;
}

export function layerNorm(scope: Scope, x: Value, size: number, epsilon: number): Value {
  return scope.graph.op(
    "LayerNormalization",
    [x, scope.weight("weight", [size]), scope.weight("bias", [size])],
    {
      axis: -1,
      epsilon: { float: epsilon },
    },
  );
}

/**
 * Group normalisation of [B, C, H, W]. ONNX Runtime's CPU has no kernel for it, so the groups are normalised as
 * instances and each channel is scaled afterwards.
 */
export function groupNorm(scope: Scope, x: Value, channels: number, groups: number, epsilon: number): Value {
  const { graph } = scope;
  const grouped = graph.op("Reshape", [x, graph.integers(0, groups, -1)]);
  const ones = graph.floats(new Array<number>(groups).fill(1));
  const zeros = graph.floats(new Array<number>(groups).fill(0));
  const instances = graph.op("InstanceNormalization", [grouped, ones, zeros], {
    epsilon: { float: epsilon },
  });
  const normal = graph.op("Reshape", [instances, graph.op("Shape", [x])]);
  const scaled = graph.op("Mul", [normal, scope.weight("weight", [channels, 1, 1])]);
  return graph.op("Add", [scaled, scope.weight("bias", [channels, 1, 1])]);
}

/** Doubles height and width by repetition; to the size of `like` where that is not exactly the double. */
export function upsampleNearest({ graph }: Scope, x: Value, like?: Value): Value {
  const options = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
  if (like === undefined) return graph.op("Resize", [x, "", graph.floats([1, 1, 2, 2])], options);
  const size = graph.op(
    "Concat",
    [graph.op("Shape", [x], { end: 2 }), graph.op("Shape", [like], { start: 2 })],
    { axis: 0 },
  );
  return graph.op("Resize", [x, "", "", size], options);
}

/** [B, C, H, W] → [B, H·W, C]. */
export function toTokens({ graph }: Scope, x: Value, channels: number): Value {
  return graph.op("Transpose", [graph.op("Reshape", [x, graph.integers(0, channels, -1)])], {
    perm: [0, 2, 1],
  });
}

/** [B, H·W, C] → the shape of `like`, which has the same C, H and W. */
export function fromTokens({ graph }: Scope, x: Value, like: Value): Value {
  return graph.op("Reshape", [graph.op("Transpose", [x], { perm: [0, 2, 1] }), graph.op("Shape", [like])]);
}

export type ResnetShape = {
  in: number;
  out: number;
  /** Channels of the time embedding, where there is one. */
  time?: { value: Value; channels: number };
  groups: number;
  epsilon: number;
  activation: Activation;
};

/** Two normalised 3×3 convolutions around a shortcut; the time embedding is added between them. */
export function resnet(scope: Scope, x: Value, shape: ResnetShape): Value {
  const { graph } = scope;
  const { in: inputs, out: outputs, groups, epsilon, activation, time } = shape;
  const first = activate(scope, groupNorm(scope.at("norm1"), x, inputs, groups, epsilon), activation);
  let hidden = conv(scope.at("conv1"), first, { in: inputs, out: outputs });
  if (time !== undefined) {
    const shift = linear(scope.at("time_emb_proj"), time.value, time.channels, outputs);
    hidden = graph.op("Add", [hidden, graph.op("Unsqueeze", [shift, graph.integers(2, 3)])]);
  }
  const second = activate(scope, groupNorm(scope.at("norm2"), hidden, outputs, groups, epsilon), activation);
  hidden = conv(scope.at("conv2"), second, { in: outputs, out: outputs });
  const shortcut =
    inputs === outputs ? x : conv(scope.at("conv_shortcut"), x, { in: inputs, out: outputs, kernel: 1 });
  return graph.op("Add", [shortcut, hidden]);
}

export type AttentionShape = { channels: number; contextChannels: number; heads: number; bias: boolean };

/** Softmax(QKᵀ/√d)V between tokens and a context, projected back, without a residual. */
export function attention(scope: Scope, x: Value, context: Value, shape: AttentionShape): Value {
  const { channels, contextChannels, heads, bias } = shape;
  const mixed = scope.graph.fused(
    "MultiHeadAttention",
    [
      linear(scope.at("to_q"), x, channels, channels, bias),
      linear(scope.at("to_k"), context, contextChannels, channels, bias),
      linear(scope.at("to_v"), context, contextChannels, channels, bias),
    ],
    { num_heads: heads },
  );
  return linear(scope.at("to_out", 0), mixed, channels, channels);
}
