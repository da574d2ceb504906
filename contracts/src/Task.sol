// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Ownable2Step, Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Node} from "./Node.sol";
import {INode} from "./interfaces/INode.sol";
import {ITask, Parameters, TaskInfo, TaskStatus, Verdict} from "./interfaces/ITask.sol";
import {Similarity} from "./libraries/Similarity.sol";
import {NO_ROUND, TaskHead, TaskHeadLib, TaskState, TaskStateLib} from "./libraries/TaskState.sol";
import {VramClasses} from "./libraries/VramClasses.sol";

/// The tasks: three nodes run each, commit to a result, reveal it, and are judged by what the others say.
/// Every transition stores its outcome before it calls another contract.
contract Task is ITask, Ownable2Step {
    using SafeERC20 for IERC20;

    struct Record {
        TaskHead head;
        bytes32 taskHash;
        TaskState state;
        /// Round 0 holds the data hash until the draw. Then each round holds, in turn, the selected account, its
        /// commitment, and what it revealed: a short result with its length in the last byte, LONG, or an error class.
        uint256[3] words;
    }

    uint256 public constant SD = 0;
    uint256 public constant GPT = 1;
    uint256 public constant MAX_RESULT_BYTES = 512;
    uint256 private constant MAX_INLINE_BYTES = 24;
    uint256 private constant LONG = 0xff;
    uint256 private constant MAX_ERROR_CLASS = 3;
    uint256 private constant MAX_VERSION = 0x3fff;

    IERC20 public immutable token;
    INode public immutable node;

    /// Tasks (64 bits), successes (64), aborts (64), parameters version (64).
    uint256 private _counters;
    mapping(uint256 version => Parameters) private _parameters;
    mapping(uint256 taskId => Record) private _tasks;
    mapping(uint256 taskIdAndRound => bytes) private _longResults;

    /// Deploys the Node contract along with itself, so that the two are bound for good.
    constructor(IERC20 token_, address incentivePool, address owner_) Ownable(owner_) {
        token = token_;
        node = new Node(token_, address(this), incentivePool, owner_);
        _setParameters(
            Parameters({
                feeWei: 30 ether,
                missPenaltyGwei: 1 ether / 1 gwei,
                queueSec: 600,
                commitSec: 300,
                graceSec: 10,
                revealSec: 60,
                uploadSec: 120,
                errorFeeBps: 1000,
                distanceThreshold: 5
            })
        );
    }

    // --------------------------------------------------------------------------------------------------- life

    function createTask(uint256 taskType, bytes32 taskHash, bytes32 dataHash, uint256 vramLimit)
        external
        returns (uint256 taskId)
    {
        if (taskType > GPT) revert UnknownTaskType(taskType);
        if (VramClasses.ceil(vramLimit) == VramClasses.COUNT) revert VramLimitTooHigh(vramLimit);
        uint256 counters = ++_counters;
        taskId = uint64(counters);
        uint256 version = counters >> 192;
        Record storage record = _tasks[taskId];
        record.head = TaskHeadLib.pack(msg.sender, block.number, block.timestamp, version, vramLimit, taskType);
        record.taskHash = taskHash;
        record.words[0] = uint256(dataHash);
        uint256 feeWei = _parameters[version].feeWei;
        emit TaskPending(taskId, taskType, msg.sender, taskHash, dataHash, vramLimit, feeWei);
        token.safeTransferFrom(msg.sender, address(node), feeWei);
    }

    function drawNodes(uint256 taskId) external {
        Record storage record = _tasks[taskId];
        TaskHead head = record.head;
        _require(taskId, record, TaskStatus.Pending);
        uint256 createdBlock = head.createdBlock();
        if (block.number <= createdBlock) revert DrawTooEarly(taskId, createdBlock);
        Parameters storage parameters = _parameters[head.version()];
        uint256 deadline = head.createdAtSec() + parameters.queueSec;
        if (block.timestamp > deadline) revert DeadlinePassed(taskId, deadline);

        bytes32 blockHash = blockhash(createdBlock);
        if (blockHash == 0) {
            record.head = head.withCreatedBlock(block.number);
            emit TaskReanchored(taskId, block.number);
            return;
        }
        (uint256 ids, address account0, address account1, address account2) = node.draw(
            taskId, head.vramLimit(), head.taskType() == GPT, keccak256(abi.encodePacked(blockHash, taskId))
        );
        record.state =
            TaskStateLib.start(ids, block.timestamp, parameters.commitSec, head.taskType(), head.version());
        bytes32 taskHash = record.taskHash;
        bytes32 dataHash = bytes32(record.words[0]);
        record.words[0] = uint160(account0);
        record.words[1] = uint160(account1);
        record.words[2] = uint160(account2);
        emit TaskCreated(taskId, head.creator(), account0, taskHash, dataHash, 0);
        emit TaskCreated(taskId, head.creator(), account1, taskHash, dataHash, 1);
        emit TaskCreated(taskId, head.creator(), account2, taskHash, dataHash, 2);
    }

    function submitTaskResultCommitment(uint256 taskId, uint256 round, bytes32 commitment) external {
        if (round > 2) revert UnknownRound(round);
        Record storage record = _tasks[taskId];
        TaskState state = _require(taskId, record, TaskStatus.Executing);
        Verdict verdict = state.verdict(round);
        if (verdict != Verdict.None) revert IllegalVerdict(taskId, round, verdict);
        if (record.words[round] != uint160(msg.sender)) revert NotSelectedNode(taskId, round, msg.sender);
        if (commitment == 0) revert ZeroCommitment(taskId, round);
        if (block.timestamp > state.commitDeadline()) revert DeadlinePassed(taskId, state.commitDeadline());

        uint256 committed = state.count(Verdict.Committed) + 1;
        state = state.withVerdict(round, Verdict.Committed);
        record.words[round] = uint256(commitment);
        emit TaskResultCommitted(taskId, msg.sender, round, commitment);
        if (committed == 2) {
            Parameters storage parameters = _parameters[state.version()];
            uint256 revealFrom = block.timestamp + parameters.graceSec;
            if (revealFrom > state.commitDeadline()) revealFrom = state.commitDeadline();
            state = state.withReveal(revealFrom, revealFrom + parameters.revealSec);
            emit TaskQuorumReached(taskId, revealFrom);
        } else if (committed == 3) {
            if (block.timestamp > state.revealDeadline()) revert DeadlinePassed(taskId, state.revealDeadline());
            if (block.timestamp < state.revealFrom()) {
                // The windows move up by what was left of the grace.
                uint256 revealSec = state.revealDeadline() - state.revealFrom();
                state = state.withReveal(block.timestamp, block.timestamp + revealSec);
            }
            state = state.withStatus(TaskStatus.Revealing);
            emit TaskResultCommitmentsReady(taskId, state.revealDeadline());
        }
        record.state = state;
    }

    function discloseTaskResult(
        uint256 taskId,
        uint256 round,
        bytes calldata result,
        bytes32 filesDigest,
        bytes32 salt
    ) external {
        Record storage record = _tasks[taskId];
        (TaskState state, uint256 late) = _revealed(
            record, taskId, round, Verdict.Result, keccak256(abi.encode(result, filesDigest)), salt
        );
        uint256 length = result.length;
        if (state.taskType() == GPT) {
            if (length != 32) revert InvalidResultLength(length);
            record.words[round] = uint256(bytes32(result));
        } else {
            if (length == 0 || length % 8 != 0 || length > MAX_RESULT_BYTES) revert InvalidResultLength(length);
            if (length <= MAX_INLINE_BYTES) {
                record.words[round] = uint256(bytes32(result)) | length;
            } else {
                record.words[round] = LONG;
                _longResults[taskId * 4 + round] = result;
            }
        }
        emit TaskResultDisclosed(taskId, msg.sender, round, result, filesDigest);
        _judge(record, taskId, state, round, late);
    }

    function reportTaskError(uint256 taskId, uint256 round, uint8 errorClass, bytes32 salt) external {
        if (errorClass == 0 || errorClass > MAX_ERROR_CLASS) revert UnknownErrorClass(errorClass);
        Record storage record = _tasks[taskId];
        bytes32 digest = keccak256(abi.encode(bytes(""), bytes32(uint256(errorClass))));
        (TaskState state, uint256 late) = _revealed(record, taskId, round, Verdict.Error, digest, salt);
        record.words[round] = errorClass;
        emit TaskErrorReported(taskId, msg.sender, round, errorClass);
        _judge(record, taskId, state, round, late);
    }

    function reportResultsUploaded(uint256 taskId, uint256 round) external {
        if (round > 2) revert UnknownRound(round);
        Record storage record = _tasks[taskId];
        TaskState state = _require(taskId, record, TaskStatus.Uploading);
        Parameters storage parameters = _parameters[state.version()];
        uint256 deadline = state.uploadDeadline();
        if (block.timestamp > deadline + parameters.uploadSec) {
            revert DeadlinePassed(taskId, deadline + parameters.uploadSec);
        }
        uint256 resultRound = state.resultRound();
        uint256 shareWei = _shareWei(parameters.feeWei, resultRound);
        state = state.withPaid(resultRound).withStatus(TaskStatus.Done);
        _counters += 1 << 64;
        address account;
        if (round == resultRound) {
            record.state = state;
            (account,) = node.complete(taskId, state.id(round), shareWei, 0);
        } else {
            if (!state.paid(round)) revert NotResultNode(taskId, round);
            if (block.timestamp <= deadline) revert UploadNotOverdue(taskId, deadline);
            state = state.withVerdict(resultRound, Verdict.Missed).withResultRound(round);
            record.state = state;
            _miss(taskId, state, resultRound, Verdict.Result, parameters.missPenaltyGwei);
            account = node.credit(state.id(round), shareWei);
        }
        if (account != msg.sender) revert NotSelectedNode(taskId, round, msg.sender);
        emit TaskResultUploaded(taskId, account, round);
        emit TaskNodeSuccess(taskId, account, shareWei);
        _close(record, taskId, state, parameters.feeWei);
    }

    /// Performs whatever is overdue.
    function cancelTask(uint256 taskId) external {
        Record storage record = _tasks[taskId];
        TaskState state = record.state;
        TaskStatus status = _status(record, state);
        if (status == TaskStatus.None) revert UnknownTask(taskId);
        if (status == TaskStatus.Pending) return _cancelPending(record, taskId);
        Parameters storage parameters = _parameters[state.version()];

        if (status == TaskStatus.Executing || status == TaskStatus.Revealing) {
            uint256 deadline = state.revealDeadline();
            if (deadline == 0) deadline = state.commitDeadline();
            if (block.timestamp <= deadline) revert NotOverdue(taskId, status);
            bool quorum = state.revealDeadline() != 0;
            TaskState before = state;
            for (uint256 round = 0; round < 3; ++round) {
                Verdict verdict = before.verdict(round);
                if (verdict == Verdict.None || (verdict == Verdict.Committed && quorum)) {
                    state = state.withVerdict(round, Verdict.Missed);
                }
            }
            _endWithoutResult(record, taskId, state, before, parameters);
            return;
        }

        if (state.resultRound() == NO_ROUND) revert NotOverdue(taskId, status);
        TaskState old = state;
        bool aborted = status == TaskStatus.Uploading && block.timestamp > state.uploadDeadline() + parameters.uploadSec;
        uint256 resultRound = state.resultRound();
        if (aborted) {
            state = state.withVerdict(resultRound, Verdict.Missed).withStatus(TaskStatus.Aborted);
            _counters += 1 << 128;
        }
        uint256 silent = NO_ROUND;
        if (block.timestamp > state.revealDeadline()) {
            for (uint256 round = 0; round < 3; ++round) {
                if (old.verdict(round) == Verdict.Committed) silent = round;
            }
        }
        if (silent != NO_ROUND) state = state.withVerdict(silent, Verdict.Missed);
        if (!aborted && silent == NO_ROUND) revert NotOverdue(taskId, status);
        record.state = state;
        if (silent != NO_ROUND) _miss(taskId, state, silent, Verdict.Committed, parameters.missPenaltyGwei);
        if (aborted) {
            _miss(taskId, state, resultRound, Verdict.Result, parameters.missPenaltyGwei);
            emit TaskAborted(taskId, "Task result not uploaded");
        }
        _close(record, taskId, state, parameters.feeWei);
    }

    // -------------------------------------------------------------------------------------------------- owner

    /// Parameters for tasks that are created from now on.
    function setParameters(Parameters calldata parameters) external onlyOwner {
        _setParameters(parameters);
    }

    // -------------------------------------------------------------------------------------------------- views

    function getTask(uint256 taskId) external view returns (TaskInfo memory info) {
        Record storage record = _tasks[taskId];
        TaskHead head = record.head;
        TaskState state = record.state;
        info.status = _status(record, state);
        if (info.status == TaskStatus.None) return info;
        info.id = taskId;
        info.taskType = head.taskType();
        info.creator = head.creator();
        info.taskHash = record.taskHash;
        info.vramLimit = head.vramLimit();
        info.feeWei = _parameters[head.version()].feeWei;
        info.createdBlock = head.createdBlock();
        info.commitDeadline = state.commitDeadline();
        info.revealFrom = state.revealFrom();
        info.revealDeadline = state.revealDeadline();
        info.uploadDeadline = state.uploadDeadline();
        info.resultRound = NO_ROUND;
        for (uint256 round = 0; round < 3; ++round) info.results[round] = "";
        if (state.commitDeadline() == 0) return info;
        info.resultRound = state.resultRound();
        for (uint256 round = 0; round < 3; ++round) {
            Verdict verdict = state.verdict(round);
            info.verdicts[round] = verdict;
            info.nodes[round] = node.accountOf(state.id(round));
            if (verdict == Verdict.Committed) info.commitments[round] = bytes32(record.words[round]);
            if (verdict == Verdict.Result) info.results[round] = _result(record, taskId, state, round);
        }
    }

    function getNodeTask(address account) external view returns (uint256 taskId) {
        return node.taskOf(account);
    }

    /// What a task costs now.
    function taskFee() external view returns (uint256 feeWei) {
        return _parameters[_counters >> 192].feeWei;
    }

    function getParameters() public view returns (Parameters memory) {
        return _parameters[_counters >> 192];
    }

    function totalTasks() external view returns (uint256) {
        return uint64(_counters);
    }

    function totalSuccessTasks() external view returns (uint256) {
        return uint64(_counters >> 64);
    }

    function totalAbortedTasks() external view returns (uint256) {
        return uint64(_counters >> 128);
    }

    // ---------------------------------------------------------------------------------------------- internals

    /// Checks a reveal against its commitment, opens the reveals if they are due, and notes the verdict.
    /// Returns the round that was too late to commit, which the caller must charge once all is stored.
    function _revealed(
        Record storage record,
        uint256 taskId,
        uint256 round,
        Verdict verdict,
        bytes32 digest,
        bytes32 salt
    ) private returns (TaskState state, uint256 late) {
        if (round > 2) revert UnknownRound(round);
        state = record.state;
        TaskStatus status = state.status();
        uint256 deadline = state.revealDeadline();
        if (state.verdict(round) != Verdict.Committed || (status == TaskStatus.Aborted && deadline == 0)) {
            status = _status(record, state);
            if (status == TaskStatus.None) revert UnknownTask(taskId);
            if (status == TaskStatus.Pending || status == TaskStatus.Aborted) revert IllegalTaskStatus(taskId, status);
            revert IllegalVerdict(taskId, round, state.verdict(round));
        }
        if (record.words[round] != uint256(keccak256(abi.encode(taskId, round, msg.sender, digest, salt)))) {
            revert CommitmentMismatch(taskId, round);
        }
        // A node may have committed in the name of somebody else.
        if (node.accountOf(state.id(round)) != msg.sender) revert NotSelectedNode(taskId, round, msg.sender);
        uint256 revealFrom = state.revealFrom();
        if (revealFrom == 0 || block.timestamp < revealFrom) revert RevealsNotOpen(taskId, revealFrom);
        if (block.timestamp > deadline) revert DeadlinePassed(taskId, deadline);
        late = NO_ROUND;
        if (status == TaskStatus.Executing) {
            late = 0;
            while (state.verdict(late) != Verdict.None) ++late;
            state = state.withVerdict(late, Verdict.Missed).withStatus(TaskStatus.Revealing);
            emit TaskResultCommitmentsReady(taskId, deadline);
        }
        if (state.firstRound() == NO_ROUND) state = state.withFirstRound(round);
        state = state.withVerdict(round, verdict);
    }

    /// Draws the conclusions from what `round` has just revealed.
    function _judge(Record storage record, uint256 taskId, TaskState state, uint256 round, uint256 late) private {
        Parameters storage parameters = _parameters[state.version()];
        uint256 threshold = parameters.distanceThreshold;
        bool isResult = state.verdict(round) == Verdict.Result;
        uint256 resultRound = state.resultRound();

        if (resultRound != NO_ROUND) {
            // The third voice. Agreement with either of the pair will do: being close is not transitive.
            if (
                isResult
                    && (
                        _agree(record, taskId, state, resultRound, round, threshold)
                            || _agree(record, taskId, state, 3 - resultRound - round, round, threshold)
                    )
            ) {
                state = state.withPaid(round);
                record.state = state;
                _pay(taskId, state, round, parameters.feeWei, 0);
            } else {
                record.state = state;
                _slash(taskId, state, round);
            }
            return _close(record, taskId, state, parameters.feeWei);
        }

        uint256 first = state.firstRound();
        if (isResult && round != first) {
            if (_agree(record, taskId, state, first, round, threshold)) {
                return _succeed(record, taskId, state, first, round, parameters);
            }
            uint256 other = 3 - first - round;
            if (_agree(record, taskId, state, other, round, threshold)) {
                return _succeed(record, taskId, state, other, round, parameters);
            }
        }
        if (state.count(Verdict.Committed) == 0) {
            _endWithoutResult(record, taskId, state, state, parameters);
        } else {
            record.state = state;
            if (late != NO_ROUND) _miss(taskId, state, late, Verdict.None, parameters.missPenaltyGwei);
        }
    }

    function _succeed(
        Record storage record,
        uint256 taskId,
        TaskState state,
        uint256 resultRound,
        uint256 round,
        Parameters storage parameters
    ) private {
        state = state.withResultRound(resultRound).withPaid(round).withStatus(TaskStatus.Uploading)
            .withUploadDeadline(block.timestamp + parameters.uploadSec);
        record.state = state;
        address resultNode = _pay(taskId, state, round, parameters.feeWei, state.id(resultRound));
        uint256 third = 3 - resultRound - round;
        Verdict verdict = state.verdict(third);
        if (verdict == Verdict.Result || verdict == Verdict.Error) _slash(taskId, state, third);
        emit TaskSuccess(taskId, _result(record, taskId, state, resultRound), resultNode);
    }

    /// Ends a task in which no two results agree. `before` tells what each round had said when it fell silent.
    function _endWithoutResult(
        Record storage record,
        uint256 taskId,
        TaskState state,
        TaskState before,
        Parameters storage parameters
    ) private {
        record.state = state = state.withStatus(TaskStatus.Aborted);
        _counters += 1 << 128;
        uint256 results = state.count(Verdict.Result);
        uint256 errors = state.count(Verdict.Error);
        bool sameErrors = errors >= 2 && results == 0 && _sameErrors(record, state);
        uint256 paidWei;
        for (uint256 round = 0; round < 3; ++round) {
            Verdict verdict = state.verdict(round);
            if (verdict == Verdict.Missed) {
                // Whoever was let go when the reveals opened has paid already.
                Verdict phase = before.verdict(round);
                if (phase != Verdict.Missed) _miss(taskId, state, round, phase, parameters.missPenaltyGwei);
            } else if (sameErrors) {
                uint256 wei_ = _shareWei(parameters.feeWei, round) / 1 gwei * parameters.errorFeeBps / 10_000 * 1 gwei;
                paidWei += wei_;
                (address account,) = node.complete(taskId, state.id(round), wei_, 0);
                emit TaskNodeSuccess(taskId, account, wei_);
            } else {
                node.release(taskId, state.id(round));
            }
        }
        emit TaskAborted(
            taskId,
            sameErrors ? "Task error reported" : results + errors >= 2 ? "Task result illegal" : "Task Cancelled"
        );
        _refund(record, taskId, parameters.feeWei - paidWei);
    }

    function _cancelPending(Record storage record, uint256 taskId) private {
        TaskHead head = record.head;
        Parameters storage parameters = _parameters[head.version()];
        if (block.timestamp <= head.createdAtSec() + parameters.queueSec) {
            revert NotOverdue(taskId, TaskStatus.Pending);
        }
        record.state = TaskState.wrap(0).withResultRound(NO_ROUND).withStatus(TaskStatus.Aborted);
        _counters += 1 << 128;
        emit TaskAborted(taskId, "Task queue timeout");
        _refund(record, taskId, parameters.feeWei);
    }

    /// Returns what nobody has earned, once the task has ended and no node is at work on it.
    function _close(Record storage record, uint256 taskId, TaskState state, uint256 feeWei) private {
        if (state.status() == TaskStatus.Uploading || state.count(Verdict.Committed) != 0) return;
        uint256 restWei;
        for (uint256 round = 0; round < 3; ++round) {
            if (!state.paid(round)) restWei += _shareWei(feeWei, round);
        }
        if (restWei != 0) _refund(record, taskId, restWei);
    }

    /// Pays a round its share and lets its node go. Tells whose a peer's seat is.
    function _pay(uint256 taskId, TaskState state, uint256 round, uint256 feeWei, uint256 peerId)
        private
        returns (address peer)
    {
        uint256 shareWei = _shareWei(feeWei, round);
        address account;
        (account, peer) = node.complete(taskId, state.id(round), shareWei, peerId);
        emit TaskNodeSuccess(taskId, account, shareWei);
    }

    function _miss(uint256 taskId, TaskState state, uint256 round, Verdict phase, uint256 penaltyGwei) private {
        address account = node.miss(taskId, state.id(round), penaltyGwei * 1 gwei, phase == Verdict.None);
        emit TaskNodeMissed(taskId, account, round, phase);
    }

    function _slash(uint256 taskId, TaskState state, uint256 round) private {
        emit TaskNodeSlashed(taskId, node.slash(taskId, state.id(round)));
    }

    function _refund(Record storage record, uint256 taskId, uint256 amountWei) private {
        address creator = record.head.creator();
        emit TaskRefunded(taskId, creator, amountWei);
        node.refund(creator, amountWei);
    }

    function _setParameters(Parameters memory p) private {
        _bound("feeWei", p.feeWei, 3 gwei, 1_000_000 ether);
        if (p.feeWei % 1 gwei != 0) revert ParameterOutOfBounds("feeWei", p.feeWei);
        _bound("missPenaltyGwei", p.missPenaltyGwei, 0, 1000 ether / 1 gwei);
        _bound("queueSec", p.queueSec, 60, 7 days);
        _bound("commitSec", p.commitSec, 10, 6 hours);
        _bound("graceSec", p.graceSec, 0, 1 hours);
        _bound("revealSec", p.revealSec, 10, 3 hours);
        _bound("uploadSec", p.uploadSec, 10, 6 hours);
        _bound("errorFeeBps", p.errorFeeBps, 0, 5000);
        _bound("distanceThreshold", p.distanceThreshold, 1, 16);
        uint256 counters = _counters + (1 << 192);
        uint256 version = counters >> 192;
        _bound("version", version, 1, MAX_VERSION);
        _counters = counters;
        _parameters[version] = p;
        emit ParametersSet(version, p);
    }

    function _bound(bytes32 name, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert ParameterOutOfBounds(name, value);
    }

    function _status(Record storage record, TaskState state) private view returns (TaskStatus) {
        TaskStatus status = state.status();
        if (status != TaskStatus.None) return status;
        return TaskHead.unwrap(record.head) == 0 ? TaskStatus.None : TaskStatus.Pending;
    }

    function _require(uint256 taskId, Record storage record, TaskStatus expected) private view returns (TaskState state) {
        state = record.state;
        if (expected != TaskStatus.Pending && state.status() == expected) return state;
        TaskStatus status = _status(record, state);
        if (status == TaskStatus.None) revert UnknownTask(taskId);
        if (status != expected) revert IllegalTaskStatus(taskId, status);
    }

    /// Do two rounds' results say the same? False if either has none.
    function _agree(
        Record storage record,
        uint256 taskId,
        TaskState state,
        uint256 roundA,
        uint256 roundB,
        uint256 threshold
    ) private view returns (bool) {
        uint256 a = record.words[roundA];
        uint256 b = record.words[roundB];
        if (!_hasResult(state, roundA) || !_hasResult(state, roundB)) return false;
        if (state.taskType() == GPT) return a == b;
        if (a & 0xff != b & 0xff) return false;
        if (a & 0xff != LONG) return Similarity.similarWords(a, b, threshold);
        return Similarity.similar(_longResults[taskId * 4 + roundA], _longResults[taskId * 4 + roundB], threshold);
    }

    /// A result node that has not uploaded is Missed, and its result still stands.
    function _hasResult(TaskState state, uint256 round) private pure returns (bool) {
        return state.verdict(round) == Verdict.Result || state.paid(round) || state.resultRound() == round;
    }

    function _sameErrors(Record storage record, TaskState state) private view returns (bool) {
        uint256 class;
        for (uint256 round = 0; round < 3; ++round) {
            if (state.verdict(round) != Verdict.Error) continue;
            if (class != 0 && class != record.words[round]) return false;
            class = record.words[round];
        }
        return true;
    }

    function _result(Record storage record, uint256 taskId, TaskState state, uint256 round)
        private
        view
        returns (bytes memory)
    {
        uint256 word = record.words[round];
        if (state.taskType() == GPT) return abi.encodePacked(word);
        if (word & 0xff == LONG) return _longResults[taskId * 4 + round];
        bytes memory result = new bytes(word & 0xff);
        assembly ("memory-safe") {
            mstore(add(result, 32), and(word, not(0xff)))
        }
        return result;
    }

    /// A third of the fee in whole gwei; what does not divide belongs to round 0.
    function _shareWei(uint256 feeWei, uint256 round) private pure returns (uint256) {
        uint256 shareWei = feeWei / 3 gwei * 1 gwei;
        return round == 0 ? feeWei - 2 * shareWei : shareWei;
    }
}
