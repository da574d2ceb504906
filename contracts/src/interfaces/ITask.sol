// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

enum TaskStatus {
    None,
    Pending,
    Executing,
    Revealing,
    Uploading,
    Done,
    Aborted
}

/// What a round has said so far.
enum Verdict {
    None,
    Committed,
    Result,
    Error,
    Missed
}

struct TaskInfo {
    uint256 id;
    uint256 taskType;
    address creator;
    bytes32 taskHash;
    uint256 vramLimit;
    uint256 feeWei;
    TaskStatus status;
    uint256 createdBlock;
    uint256 commitDeadline;
    uint256 revealFrom;
    uint256 revealDeadline;
    uint256 uploadDeadline;
    address[3] nodes;
    Verdict[3] verdicts;
    bytes32[3] commitments;
    bytes[3] results;
    /// 3 while there is no result.
    uint256 resultRound;
}

/// What the owner may change. A task keeps the version it was created under. One slot.
struct Parameters {
    uint96 feeWei;
    uint40 missPenaltyGwei;
    uint32 queueSec;
    uint16 commitSec;
    uint16 graceSec;
    uint16 revealSec;
    uint16 uploadSec;
    uint16 errorFeeBps;
    uint8 distanceThreshold;
}

interface ITask {
    event TaskPending(
        uint256 indexed taskId,
        uint256 taskType,
        address indexed creator,
        bytes32 taskHash,
        bytes32 dataHash,
        uint256 vramLimit,
        uint256 feeWei
    );
    event TaskReanchored(uint256 indexed taskId, uint256 blockNumber);
    event TaskCreated(
        uint256 indexed taskId,
        address indexed creator,
        address indexed selectedNode,
        bytes32 taskHash,
        bytes32 dataHash,
        uint256 round
    );
    event TaskResultCommitted(uint256 indexed taskId, address indexed node, uint256 round, bytes32 commitment);
    event TaskQuorumReached(uint256 indexed taskId, uint256 revealFrom);
    event TaskResultCommitmentsReady(uint256 indexed taskId, uint256 revealDeadline);
    event TaskResultDisclosed(
        uint256 indexed taskId, address indexed node, uint256 round, bytes result, bytes32 filesDigest
    );
    event TaskErrorReported(uint256 indexed taskId, address indexed node, uint256 round, uint8 errorClass);
    event TaskSuccess(uint256 indexed taskId, bytes result, address indexed resultNode);
    event TaskNodeSuccess(uint256 indexed taskId, address indexed node, uint256 feeWei);
    event TaskNodeSlashed(uint256 indexed taskId, address indexed node);
    /// `phase` is what the round had said when it fell silent: None missed the commitment,
    /// Committed the reveal, Result the upload.
    event TaskNodeMissed(uint256 indexed taskId, address indexed node, uint256 round, Verdict phase);
    event TaskRefunded(uint256 indexed taskId, address indexed creator, uint256 amountWei);
    event TaskAborted(uint256 indexed taskId, string reason);
    event TaskResultUploaded(uint256 indexed taskId, address indexed node, uint256 round);
    event ParametersSet(uint256 indexed version, Parameters parameters);

    error UnknownTaskType(uint256 taskType);
    error VramLimitTooHigh(uint256 vramLimit);
    error UnknownTask(uint256 taskId);
    error UnknownRound(uint256 round);
    error IllegalTaskStatus(uint256 taskId, TaskStatus status);
    error IllegalVerdict(uint256 taskId, uint256 round, Verdict verdict);
    error NotSelectedNode(uint256 taskId, uint256 round, address caller);
    error DrawTooEarly(uint256 taskId, uint256 createdBlock);
    error ZeroCommitment(uint256 taskId, uint256 round);
    error RevealsNotOpen(uint256 taskId, uint256 revealFrom);
    error DeadlinePassed(uint256 taskId, uint256 deadline);
    error CommitmentMismatch(uint256 taskId, uint256 round);
    error InvalidResultLength(uint256 length);
    error UnknownErrorClass(uint256 errorClass);
    error NotResultNode(uint256 taskId, uint256 round);
    error UploadNotOverdue(uint256 taskId, uint256 uploadDeadline);
    error NotOverdue(uint256 taskId, TaskStatus status);
    error ParameterOutOfBounds(bytes32 name, uint256 value);
}
