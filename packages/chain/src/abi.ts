/** The contracts' interfaces; docs/protocol.md §3. */
import { type Abi, parseAbi } from "viem";

export const tokenAbi = parseAbi([
  "function name() view returns (string)",
  "function symbol() view returns (string)",
  "function decimals() view returns (uint8)",
  "function totalSupply() view returns (uint256)",
  "function balanceOf(address account) view returns (uint256)",
  "function allowance(address owner, address spender) view returns (uint256)",
  "function nonces(address owner) view returns (uint256)",
  "function DOMAIN_SEPARATOR() view returns (bytes32)",
  "function transfer(address to, uint256 value) returns (bool)",
  "function transferFrom(address from, address to, uint256 value) returns (bool)",
  "function approve(address spender, uint256 value) returns (bool)",
  "function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "event Approval(address indexed owner, address indexed spender, uint256 value)",
]);

export const nodeAbi = parseAbi([
  "struct Gpu { string name; uint256 vram; }",
  "struct NodeInfo { uint8 status; bytes32 gpuID; Gpu gpu; uint256 stakeWei; uint256 earnedWei; uint256 weight; uint256 misses; address payout; uint256 taskId; }",
  "function join(string gpuName, uint256 gpuVram)",
  "function joinWithPermit(string gpuName, uint256 gpuVram, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
  "function quit()",
  "function pause()",
  "function resume()",
  "function setPayoutAddress(address payout)",
  "function withdraw() returns (uint256 amountWei)",
  "function getNodeStatus(address node) view returns (uint8)",
  "function getNodeInfo(address node) view returns (NodeInfo)",
  "function totalNodes() view returns (uint256)",
  "function availableNodes() view returns (uint256)",
  "function stakeAmount() view returns (uint256)",
  "function vramClasses() view returns (uint256[])",
  "function getNodes(uint256 offset, uint256 limit) view returns (address[])",
  "event NodeJoined(address indexed node, string gpuName, uint256 gpuVram, uint256 stakeWei)",
  "event NodeQuit(address indexed node, uint256 stakeReturnedWei)",
  "event NodePaused(address indexed node)",
  "event NodeResumed(address indexed node)",
  "event NodePending(address indexed node, uint8 status)",
  "event NodeSlashed(address indexed node, uint256 amountWei)",
  "event NodePenalised(address indexed node, uint256 amountWei, uint256 misses)",
  "event NodeRemoved(address indexed node, uint256 stakeReturnedWei)",
  "event NodeWithdrawn(address indexed node, address indexed payout, uint256 amountWei)",
  "event PayoutAddressSet(address indexed node, address indexed payout)",
]);

export const taskAbi = parseAbi([
  "struct TaskInfo { uint256 id; uint256 taskType; address creator; bytes32 taskHash; uint256 vramLimit; uint256 feeWei; uint8 status; uint256 createdBlock; uint256 commitDeadline; uint256 revealFrom; uint256 revealDeadline; uint256 uploadDeadline; address[3] nodes; uint8[3] verdicts; bytes32[3] commitments; bytes[3] results; uint256 resultRound; }",
  "function createTask(uint256 taskType, bytes32 taskHash, bytes32 dataHash, uint256 vramLimit) returns (uint256 taskId)",
  "function drawNodes(uint256 taskId)",
  "function submitTaskResultCommitment(uint256 taskId, uint256 round, bytes32 commitment)",
  "function discloseTaskResult(uint256 taskId, uint256 round, bytes result, bytes32 filesDigest, bytes32 salt)",
  "function reportTaskError(uint256 taskId, uint256 round, uint8 errorClass, bytes32 salt)",
  "function reportResultsUploaded(uint256 taskId, uint256 round)",
  "function cancelTask(uint256 taskId)",
  "function getTask(uint256 taskId) view returns (TaskInfo)",
  "function getNodeTask(address node) view returns (uint256 taskId)",
  "function taskFee() view returns (uint256)",
  "function totalTasks() view returns (uint256)",
  "function totalSuccessTasks() view returns (uint256)",
  "function totalAbortedTasks() view returns (uint256)",
  "event TaskPending(uint256 indexed taskId, uint256 taskType, address indexed creator, bytes32 taskHash, bytes32 dataHash, uint256 vramLimit, uint256 feeWei)",
  "event TaskReanchored(uint256 indexed taskId, uint256 blockNumber)",
  "event TaskCreated(uint256 indexed taskId, address indexed creator, address indexed selectedNode, bytes32 taskHash, bytes32 dataHash, uint256 round)",
  "event TaskResultCommitted(uint256 indexed taskId, address indexed node, uint256 round, bytes32 commitment)",
  "event TaskQuorumReached(uint256 indexed taskId, uint256 revealFrom)",
  "event TaskResultCommitmentsReady(uint256 indexed taskId, uint256 revealDeadline)",
  "event TaskResultDisclosed(uint256 indexed taskId, address indexed node, uint256 round, bytes result, bytes32 filesDigest)",
  "event TaskErrorReported(uint256 indexed taskId, address indexed node, uint256 round, uint8 errorClass)",
  "event TaskSuccess(uint256 indexed taskId, bytes result, address indexed resultNode)",
  "event TaskNodeSuccess(uint256 indexed taskId, address indexed node, uint256 feeWei)",
  "event TaskNodeSlashed(uint256 indexed taskId, address indexed node)",
  "event TaskNodeMissed(uint256 indexed taskId, address indexed node, uint256 round, uint8 phase)",
  "event TaskRefunded(uint256 indexed taskId, address indexed creator, uint256 amountWei)",
  "event TaskAborted(uint256 indexed taskId, string reason)",
  "event TaskResultUploaded(uint256 indexed taskId, address indexed node, uint256 round)",
]);

export type TokenAbi = typeof tokenAbi;
export type NodeAbi = typeof nodeAbi;
export type TaskAbi = typeof taskAbi;

/** The custom errors of all three: a call into one may revert with another's. */
export const contractErrors: Abi = ([...tokenAbi, ...nodeAbi, ...taskAbi] as Abi).filter(
  (item) => item.type === "error",
);
