/**
 * Writes an ONNX graph whose weights stay in the safetensors files they came in. A value of the graph is its name;
 * each operator returns the names of what it computes. Weights are declared as external data: a file beside, an
 * offset, a length. Nothing is copied, and fp16 or bf16 weights are widened by ONNX Runtime when it loads them.
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the field numbers.
 */
import { basename } from "node:path";
import { diffusionError } from "../errors.ts";
import type { Tensors } from "../safetensors.ts";
import { Message } from "./protobuf.ts";

/** The name of a tensor inside a graph. */
export type Value = string;

export type Dim = number | string;

const ELEMENT_TYPES = { F32: 1, I64: 7, F16: 10, BF16: 16 } as const;
export type ElementType = keyof typeof ELEMENT_TYPES;

/** An attribute: whole numbers and lists of them as they are, anything with a fraction as `{ float }`. */
export type Attribute = number | string | readonly number[] | { float: number };

const OPSET = 17;
const IR_VERSION = 8;

export class Graph {
  readonly #tensors: Tensors;
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #constants = new Map<string, Value>();
  readonly #weights = new Map<string, Value>();
  #values = 0;

  constructor(tensors: Tensors) {
    this.#tensors = tensors;
  }

  input(name: string, type: ElementType, shape: readonly Dim[]): Value {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, value: Value, shape: readonly Dim[]): void {
    this.#node("Identity", "", [value], [name], {});
    this.#outputs.push(valueInfo(name, "F32", shape));
  }

  /** Whether the weights have a tensor of this name. */
  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /**
   * A weight as fp32.
   *
   * @throws MODEL_TENSOR_MISSING, MODEL_TENSOR_MISMATCH, MODEL_UNSUPPORTED (its number format).
   */
  weight(name: string, shape: readonly number[]): Value {
    const known = this.#weights.get(name);
    if (known !== undefined) return known;
    const info = this.#tensors.get(name);
    if (info === undefined) throw diffusionError("MODEL_TENSOR_MISSING", { tensor: name });
    if (elementsOf(info.shape) !== elementsOf(shape) || !sameShape(info.shape, shape)) {
      throw diffusionError("MODEL_TENSOR_MISMATCH", {
        tensor: name,
        shape: info.shape.join("×"),
        expected: shape.join("×"),
      });
    }
    const { dtype } = info;
    if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") {
      throw diffusionError("MODEL_UNSUPPORTED", { tensor: name, dtype });
    }
    const initializer = new Message();
    for (const size of shape) initializer.int(1, size);
    initializer.int(2, ELEMENT_TYPES[dtype]).text(8, name);
    const place = { location: basename(info.path), offset: info.offsetBytes, length: info.lengthBytes };
    for (const [key, value] of Object.entries(place)) {
      initializer.message(13, new Message().text(1, key).text(2, String(value)));
    }
    this.#initializers.push(initializer.int(14, 1));
    const value = dtype === "F32" ? name : this.op("Cast", [name], { to: ELEMENT_TYPES.F32 });
    this.#weights.set(name, value);
    return value;
  }

  floats(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.#constant("F32", new Uint8Array(Float32Array.from(values).buffer), shape);
  }

  integers(...values: readonly number[]): Value {
    return this.#constant("I64", new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer), [
      values.length,
    ]);
  }

  /** An operator of the ONNX standard with one output. An empty name is an input left out. */
  op(type: string, inputs: readonly Value[], attributes: Readonly<Record<string, Attribute>> = {}): Value {
    return this.#node(type, "", inputs, [this.#fresh()], attributes);
  }

  /** An operator of the ONNX standard with several outputs. */
  split(value: Value, parts: number, axis: number): Value[] {
    const outputs = Array.from({ length: parts }, () => this.#fresh());
    this.#node("Split", "", [value], outputs, { axis });
    return outputs;
  }

  /** One of ONNX Runtime's own fused operators. */
  fused(type: string, inputs: readonly Value[], attributes: Readonly<Record<string, Attribute>> = {}): Value {
    return this.#node(type, "com.microsoft", inputs, [this.#fresh()], attributes);
  }

  /** The serialised ONNX model. */
  encode(): Uint8Array {
    const graph = new Message();
    for (const node of this.#nodes) graph.message(1, node);
    graph.text(2, "diffusion");
    for (const initializer of this.#initializers) graph.message(5, initializer);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    return new Message()
      .int(1, IR_VERSION)
      .text(2, "hydrogen")
      .message(7, graph)
      .message(8, new Message().int(2, OPSET))
      .message(8, new Message().text(1, "com.microsoft").int(2, 1))
      .encode();
  }

  #fresh(): Value {
    return `%${this.#values++}`;
  }

  #constant(type: ElementType, bytes: Uint8Array, shape: readonly number[]): Value {
    const key = `${type}:${shape}:${Buffer.from(bytes).toString("base64")}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#fresh();
    const initializer = new Message();
    for (const size of shape) initializer.int(1, size);
    this.#initializers.push(initializer.int(2, ELEMENT_TYPES[type]).text(8, name).bytes(9, bytes));
    this.#constants.set(key, name);
    return name;
  }

  #node(
    type: string,
    domain: string,
    inputs: readonly Value[],
    outputs: readonly [Value, ...Value[]] | Value[],
    attributes: Readonly<Record<string, Attribute>>,
  ): Value {
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    for (const output of outputs) node.text(2, output);
    node.text(3, outputs[0]!).text(4, type);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    if (domain !== "") node.text(7, domain);
    this.#nodes.push(node);
    return outputs[0]!;
  }
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === "number") return message.int(3, value).int(20, 2);
  if (typeof value === "string") return message.text(4, value).int(20, 3);
  if ("float" in value) return message.float(2, value.float).int(20, 1);
  for (const item of value) message.int(8, item);
  return message.int(20, 7);
}

function valueInfo(name: string, type: ElementType, shape: readonly Dim[]): Message {
  const dims = new Message();
  for (const dim of shape) {
    dims.message(1, typeof dim === "number" ? new Message().int(1, dim) : new Message().text(2, dim));
  }
  const tensor = new Message().int(1, ELEMENT_TYPES[type]).message(2, dims);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Trailing ones do not count: a 1×1 convolution and a matrix are the same bytes. */
function sameShape(a: readonly number[], b: readonly number[]): boolean {
  const trim = (shape: readonly number[]) => shape.join("×").replace(/(×1)+$/, "");
  return trim(a) === trim(b);
}
