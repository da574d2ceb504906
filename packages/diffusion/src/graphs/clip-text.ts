/** CLIP's text encoder (`CLIPTextModel`): token ids in, the normalised last hidden state out. */
import { Graph } from "../onnx/graph.ts";
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
 * The graph `input_ids` [B, tokens] (int64) → `last_hidden_state` [B, tokens, hiddenSize].
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
  let hidden = graph.op("Add", [graph.op("Gather", [words, ids]), positions]);

  for (let i = 0; i < config.layers; i++) {
    const layer = model.at("encoder.layers", i);
    const attend = layer.at("self_attn");
    const normal = layerNorm(layer.at("layer_norm1"), hidden, size, epsilon);
    const mixed = graph.fused(
      "MultiHeadAttention",
      ["q_proj", "k_proj", "v_proj"].map((name) => linear(attend.at(name), normal, size, size)),
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
