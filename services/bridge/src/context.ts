/** Everything the routes work with. */
import type { Chain, Sender } from "@hydrogen/chain";
import type { BridgeModel } from "@hydrogen/sdk";
import type { BlobStore } from "@hydrogen/storage";
import type { Logger, Metrics } from "@hydrogen/telemetry";
import type { Admit } from "./admission.ts";
import type { AuthorizeKey } from "./api-keys.ts";
import type { BridgeConfig } from "./config.ts";
import type { LiveTasks } from "./live-tasks.ts";
import type { TaskRunner } from "./task-runner.ts";
import type { TaskStore } from "./task-store.ts";

export type BridgeContext = {
  readonly config: BridgeConfig;
  readonly chain: Chain;
  readonly sender: Pick<Sender, "address">;
  readonly models: BridgeModel[];
  readonly authorize: AuthorizeKey;
  readonly admit: Admit;
  readonly store: TaskStore;
  readonly runner: TaskRunner;
  readonly live: LiveTasks;
  readonly blobs: BlobStore;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Aborts when the bridge closes. */
  readonly signal: AbortSignal;
};
