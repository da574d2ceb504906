/** A graph loaded into ONNX Runtime, with the weights mapped from where they lie. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { diffusionError } from "../errors.ts";

export type NetworkOptions = {
  /** An ONNX Runtime execution provider, such as `cpu` or `cuda`. */
  provider: string;
  threads: number;
};

/** A tensor that goes in: its numbers and its shape. */
export type Input = { data: Float32Array | BigInt64Array; shape: readonly number[] };

export type Network = {
  /** The single output. */
  run(inputs: Readonly<Record<string, Input>>): Promise<Float32Array>;
  release(): Promise<void>;
};

/**
 * Loads a graph whose external weights lie in `directory`.
 *
 * @throws PROVIDER_UNAVAILABLE if a provider other than the CPU refuses, ENGINE_RUN_FAILED if the CPU does.
 */
export async function openNetwork(
  model: Uint8Array,
  directory: string,
  { provider, threads }: NetworkOptions,
): Promise<Network> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(model, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
      extra: {
        "session.model_external_initializers_file_folder_path": directory,
        // Waiting threads sleep: a node shares its machine with others.
        "session.intra_op.allow_spinning": "0",
      },
    });
  } catch (cause) {
    throw diffusionError(
      provider === "cpu" ? "ENGINE_RUN_FAILED" : "PROVIDER_UNAVAILABLE",
      { provider },
      cause,
    );
  }
  const [output] = session.outputNames as [string];
  return {
    async run(inputs) {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, shape }]) => [
          name,
          data instanceof Float32Array
            ? new Tensor("float32", data, shape)
            : new Tensor("int64", data, shape),
        ]),
      );
      try {
        const { [output]: result } = await session.run(feeds);
        return result!.data as Float32Array;
      } catch (cause) {
        throw diffusionError("ENGINE_RUN_FAILED", { provider, output }, cause);
      }
    },
    release: () => session.release(),
  };
}
