export { crynuxTokenAbi, crynuxTokenBytecode } from "./abi/CrynuxToken.ts";
export { nodeAbi, nodeBytecode } from "./abi/Node.ts";
export { taskAbi, taskBytecode } from "./abi/Task.ts";
export type { NodeStatus, TaskStatus, TaskType, Verdict } from "./enums.ts";
export { nodeStatus, taskStatus, taskType, verdict } from "./enums.ts";
