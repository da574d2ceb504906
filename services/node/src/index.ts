export {
  type NodeConfig,
  type NodeConfigInput,
  nodeConfig,
  parseNodeConfig,
  readNodeConfig,
} from "./config.ts";
export type { Engine, EngineRun, EngineState } from "./engine/engine.ts";
export type { EngineResult } from "./engine/messages.ts";
export { nodeError } from "./errors.ts";
export { type NodeDeps, type RunningNode, startNode } from "./node.ts";
export type { NodeStatusReport, RoundReport } from "./status.ts";
