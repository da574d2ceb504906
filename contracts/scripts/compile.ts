import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";

const root = dirname(import.meta.dirname);
const require = createRequire(import.meta.url);

export interface CompiledContract {
  readonly abi: readonly unknown[];
  /** Creation code, hex without 0x. */
  readonly bytecode: string;
  readonly runtimeBytes: number;
}

interface SolcOutput {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[];
  readonly contracts?: Record<
    string,
    Record<
      string,
      {
        abi: readonly unknown[];
        evm: { bytecode: { object: string }; deployedBytecode: { object: string } };
      }
    >
  >;
}

interface Solc {
  compile(
    input: string,
    callbacks: { import: (path: string) => { contents: string } | { error: string } },
  ): string;
}

function solidityFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".sol"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function resolveImport(path: string): { contents: string } | { error: string } {
  try {
    const file = path.startsWith("src/") ? join(root, path) : require.resolve(path);
    return { contents: readFileSync(file, "utf8").replaceAll("\r\n", "\n") };
  } catch {
    return { error: `cannot find ${path}` };
  }
}

const settings = {
  evmVersion: "cancun",
  viaIR: true,
  optimizer: { enabled: true, runs: 1000 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

function readSources(folders: readonly string[]): Record<string, { content: string }> {
  const files = folders.flatMap((folder) => solidityFiles(join(root, folder)));
  return Object.fromEntries(
    files.map((file) => [
      relative(root, file).replaceAll("\\", "/"),
      { content: readFileSync(file, "utf8").replaceAll("\r\n", "\n") },
    ]),
  );
}

/** Returns a digest (hex) of everything that the compiled code depends on: sources, settings, compiler, libraries. */
export function sourcesDigest(folders: readonly string[]): string {
  const versions = ["solc", "@openzeppelin/contracts"].map(
    (name) => (require(`${name}/package.json`) as { version: string }).version,
  );
  return createHash("sha256")
    .update(JSON.stringify([readSources(folders), settings, versions]))
    .digest("hex");
}

/**
 * Compiles every Solidity file in folders of this package.
 * Returns the contracts by name. Throws with the compiler's own messages on any error or warning.
 */
export function compile(folders: readonly string[]): Map<string, CompiledContract> {
  const solc = require("solc") as Solc;
  const sources = readSources(folders);
  const input = { language: "Solidity", sources, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: resolveImport })) as SolcOutput;
  if (output.errors !== undefined && output.errors.length > 0) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  const compiled = new Map<string, CompiledContract>();
  for (const file of Object.keys(sources)) {
    for (const [name, contract] of Object.entries(output.contracts?.[file] ?? {})) {
      compiled.set(name, {
        abi: contract.abi,
        bytecode: contract.evm.bytecode.object,
        runtimeBytes: contract.evm.deployedBytecode.object.length / 2,
      });
    }
  }
  return compiled;
}
