/** CLIP's text encoder (`CLIPTextModel`): token ids in, the normalised last hidden state out. */
import { Graph } from "../onnx/graph.ts";
import type { Input } from "../runtime/network.ts";
import type { Tensors } from "../safetensors.ts";
import { type Activation, activate, layerNorm, linear, Scope } from "./layers.ts";

export type ClipTextConfig = {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  maxPositions: number;
  activation: Activation;
  layerNormEpsilon: number;
};

/**
 * What the graph takes for `batch` rows of token ids.
 *
 * @param seen 0 for the tokens that no other token may look at; default all ones.
 * @param learned embeddings of tokens beyond the vocabulary, [any, hiddenSize]; ids from `vocabSize` on mean them.
 */
export function clipTextInputs(
  { hiddenSize }: ClipTextConfig,
  ids: readonly number[],
  batch: number,
  seen: Float32Array = new Float32Array(ids.length).fill(1),
  learned: Float32Array = new Float32Array(hiddenSize),
): Record<string, Input> {
  const shape = [batch, ids.length / batch];
  return {
    input_ids: { data: BigInt64Array.from(ids, BigInt), shape },
    attention_mask: { data: seen, shape },
    learned_embeddings: { data: learned, shape: [learned.length / hiddenSize, hiddenSize] },
  };
}

/**
 * The graph `input_ids` [B, tokens] (int64), `attention_mask` [B, tokens], `learned_embeddings` [any, hiddenSize] →
 * `last_hidden_state` [B, tokens, hiddenSize].
 *
 * @see https://arxiv.org/abs/2103.00020 section 2.4
 */
export function buildClipText(tensors: Tensors, config: ClipTextConfig, tokens: number): Uint8Array {
  const graph = new Graph(tensors);
  const { hiddenSize: size, intermediateSize, heads, layerNormEpsilon: epsilon } = config;
  const prefix = [...tensors.keys()].some((name) => name.startsWith("text_model.")) ? "text_model" : "";
  const model = new Scope(graph, prefix);

  const ids = graph.input("input_ids", "I64", ["B", tokens]);
  const embeddings = model.at("embeddings");
  const words = embeddings.weight("token_embedding.weight", [config.vocabSize, size]);
  const allPositions = embeddings.weight("position_embedding.weight", [config.maxPositions, size]);
  const positions = graph.op("Slice", [
    allPositions,
    graph.integers(0),
    graph.integers(tokens),
    graph.integers(0),
  ]);
  const learned = graph.input("learned_embeddings", "F32", ["L", size]);
  const vocab = graph.integers(config.vocabSize);
  const known = graph.op("Gather", [words, graph.op("Min", [ids, graph.integers(config.vocabSize - 1)])]);
  const beyond = graph.op("Max", [graph.op("Sub", [ids, vocab]), graph.integers(0)]);
  const isLearned = graph.op("Unsqueeze", [graph.op("GreaterOrEqual", [ids, vocab]), graph.integers(2)]);
  const embedded = graph.op("Where", [isLearned, graph.op("Gather", [learned, beyond]), known]);
  let hidden = graph.op("Add", [embedded, positions]);

  // 0 where a token is seen, so low elsewhere that nothing is left of it; the same for all heads and looking tokens.
  const seen = graph.input("attention_mask", "F32", ["B", tokens]);
  const penalty = graph.op("Mul", [graph.op("Sub", [graph.floats([1]), seen]), graph.floats([-1e9])]);
  const bias = graph.op("Add", [
    graph.op("Unsqueeze", [penalty, graph.integers(1, 2)]),
    graph.floats(new Array<number>(tokens * tokens).fill(0), [1, 1, tokens, tokens]),
  ]);

  for (let i = 0; i < config.layers; i++) {
    const layer = model.at("encoder.layers", i);
    const attend = layer.at("self_attn");
    const normal = layerNorm(layer.at("layer_norm1"), hidden, size, epsilon);
    const mixed = graph.fused(
      "MultiHeadAttention",
      [
        ...["q_proj", "k_proj", "v_proj"].map((name) => linear(attend.at(name), normal, size, size)),
        ...["", "", bias],
      ],
      { num_heads: heads, unidirectional: 1 },
    );
    hidden = graph.op("Add", [hidden, linear(attend.at("out_proj"), mixed, size, size)]);

    const wide = linear(
      layer.at("mlp.fc1"),
      layerNorm(layer.at("layer_norm2"), hidden, size, epsilon),
      size,
      intermediateSize,
    );
    const narrow = linear(
      layer.at("mlp.fc2"),
      activate(layer, wide, config.activation),
      intermediateSize,
      size,
    );
    hidden = graph.op("Add", [hidden, narrow]);
  }
  const last = layerNorm(model.at("final_layer_norm"), hidden, size, epsilon);
  graph.output("last_hidden_state", last, ["B", tokens, size]);
  return graph.encode();
}
