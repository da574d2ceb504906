import { readFile } from "node:fs/promises";
import { arch, cpus, platform } from "node:os";
import { env, listSupportedBackends } from "onnxruntime-node";

/** Raise it whenever a change of this package changes the pictures it makes. */
const NUMERICS_VERSION = 1;

/**
 * What must be equal for two machines to be expected to agree bit for bit, whatever the model: engine, runtime,
 * provider, platform and kernel variant. Example: `hydrogen-diffusion/1 onnxruntime/1.30.0 cpu linux-x64-avx2`.
 */
export async function engineFingerprint(provider = "cpu"): Promise<string> {
  const machine = `${platform()}-${arch()}-${await kernelVariant()}`;
  return `hydrogen-diffusion/${NUMERICS_VERSION} onnxruntime/${runtimeVersion()} ${provider} ${machine}`;
}

/** The ONNX Runtime of this process and the execution providers that it was built with, whether or not they work here. */
export function enginePlatform(): { runtimeVersion: string; providers: readonly string[] } {
  return { runtimeVersion: runtimeVersion(), providers: listSupportedBackends().map(({ name }) => name) };
}

function runtimeVersion(): string {
  return env.versions.node ?? env.versions.common;
}

/** ONNX Runtime picks its matrix kernels by the widest vectors the CPU has. */
async function kernelVariant(): Promise<string> {
  const info = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const flags = new Set(/^flags\s*:(.*)$/m.exec(info)?.[1]?.trim().split(/\s+/));
  const known = ["amx_tile", "avx512f", "avx2", "avx", "sse2"].find((flag) => flags.has(flag));
  return known ?? (cpus()[0]?.model ?? "unknown").replace(/\s+/g, "_");
}
