/** The configuration file of each service. */

import { createHash } from "node:crypto";
import type { AddressBook } from "@hydrogen/chain";
import type { Layout } from "./layout.ts";
import { secretFile, writeFileAtomic } from "./layout.ts";
import type { Ports } from "./ports.ts";

export type Behaviour = "lying" | "silent" | "commitsThenSilent" | "noUpload";

export type ServiceOptions = {
  layout: Layout;
  ports: Ports;
  addresses: AddressBook;
  rpcUrl: string;
  wsUrl?: string | undefined;
  modelsDirs: readonly string[];
  /** Nodes that misbehave, by index: for tests of the protocol. */
  behaviours: Readonly<Record<number, Behaviour>>;
  budgetWei: bigint;
  corsOrigins: readonly string[];
  engineThreads: number;
};

/** Writes all files anew: options may have changed since the last start. */
export function writeServiceConfigs(options: ServiceOptions): void {
  const { layout, ports, addresses, modelsDirs } = options;
  const chain = {
    rpcUrl: options.rpcUrl,
    ...(options.wsUrl === undefined ? {} : { wsUrl: options.wsUrl }),
    addresses: { ...addresses, deployedBlock: Number(addresses.deployedBlock) },
  };
  const keystore = (name: string) => ({ path: layout.keystore(name), passwordFile: layout.password });
  const write = (name: string, config: object) =>
    writeFileAtomic(layout.config(name), `${JSON.stringify(config, null, 2)}\n`, 0o600);

  write("relay", {
    host: "127.0.0.1",
    port: ports.relay,
    publicUrl: url(ports.relay),
    dataDir: layout.relay,
    corsOrigins: options.corsOrigins,
    ...chain,
  });
  ports.nodes.forEach((port, index) => {
    write(`node-${index}`, {
      dataDir: layout.node(index),
      ...chain,
      relayUrl: url(ports.relay),
      keystore: keystore(`node-${index}`),
      gpuName: "CPU",
      vramGb: 8,
      modelsDirs,
      engine: { threads: options.engineThreads },
      api: { host: "127.0.0.1", port },
      ...(options.behaviours[index] && { devnetBehaviour: options.behaviours[index] }),
    });
  });
  write("bridge", {
    host: "127.0.0.1",
    port: ports.bridge,
    dataDir: layout.bridge,
    ...chain,
    relayUrl: url(ports.relay),
    keystore: keystore("bridge"),
    modelsDirs,
    apiKeys: [
      {
        name: "this machine",
        sha256: createHash("sha256").update(secretFile(layout.apiKey)).digest("hex"),
        budgetWei: options.budgetWei.toString(),
      },
    ],
    corsOrigins: options.corsOrigins,
  });
}

export function url(port: number): string {
  return `http://127.0.0.1:${port}`;
}
