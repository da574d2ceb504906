export {
  type NodeConfig,
  type NodeConfigInput,
  nodeConfig,
  parseNodeConfig,
  readNodeConfig,
} from "./config.ts";
export { nodeError } from "./errors.ts";
export { type NodeDeps, type RunningNode, startNode } from "./node.ts";
export type { NodeStatusReport, RoundReport } from "./status.ts";
