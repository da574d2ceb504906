// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TaskStatus, Verdict} from "../interfaces/ITask.sol";

/// A task that waits to be drawn, in one word, written once:
/// creator (160 bits) | created block (36) | created at (34) | parameters version (14) | VRAM limit (10) | type (2).
type TaskHead is uint256;

/// A drawn task's whole progress, in one word:
/// node ids (3 × 32) | drawn at (40) | commit, reveal-from, reveal and upload deadlines after that (4 × 16) |
/// verdicts (3 × 3) | paid shares (3) | result round (2) | first revealed round (2) | status (3) | type (1) | version (14).
type TaskState is uint256;

using TaskHeadLib for TaskHead global;
using TaskStateLib for TaskState global;

uint256 constant NO_ROUND = 3;

library TaskHeadLib {
    function pack(
        address creator_,
        uint256 createdBlock_,
        uint256 createdAtSec_,
        uint256 version_,
        uint256 vramLimit_,
        uint256 taskType_
    ) internal pure returns (TaskHead) {
        return TaskHead.wrap(
            uint256(uint160(creator_)) | (createdBlock_ << 160) | (createdAtSec_ << 196) | (version_ << 230)
                | (vramLimit_ << 244) | (taskType_ << 254)
        );
    }

    function creator(TaskHead head) internal pure returns (address) {
        return address(uint160(TaskHead.unwrap(head)));
    }

    function createdBlock(TaskHead head) internal pure returns (uint256) {
        return (TaskHead.unwrap(head) >> 160) & 0xfffffffff;
    }

    function createdAtSec(TaskHead head) internal pure returns (uint256) {
        return (TaskHead.unwrap(head) >> 196) & 0x3ffffffff;
    }

    function version(TaskHead head) internal pure returns (uint256) {
        return (TaskHead.unwrap(head) >> 230) & 0x3fff;
    }

    function vramLimit(TaskHead head) internal pure returns (uint256) {
        return (TaskHead.unwrap(head) >> 244) & 0x3ff;
    }

    function taskType(TaskHead head) internal pure returns (uint256) {
        return TaskHead.unwrap(head) >> 254;
    }

    function withCreatedBlock(TaskHead head, uint256 value) internal pure returns (TaskHead) {
        return TaskHead.wrap((TaskHead.unwrap(head) & ~(uint256(0xfffffffff) << 160)) | (value << 160));
    }
}

library TaskStateLib {
    uint256 private constant DRAWN_AT = 96;
    uint256 private constant COMMIT = 136;
    uint256 private constant REVEAL_FROM = 152;
    uint256 private constant REVEAL = 168;
    uint256 private constant UPLOAD = 184;
    uint256 private constant VERDICTS = 200;
    uint256 private constant PAID = 209;
    uint256 private constant RESULT_ROUND = 212;
    uint256 private constant FIRST_ROUND = 214;
    uint256 private constant STATUS = 216;
    uint256 private constant TYPE = 219;
    uint256 private constant VERSION = 220;

    /// A task whose nodes have just been drawn.
    function start(uint256 ids, uint256 drawnAtSec_, uint256 commitSec, uint256 taskType_, uint256 version_)
        internal
        pure
        returns (TaskState)
    {
        return TaskState.wrap(
            ids | (drawnAtSec_ << DRAWN_AT) | (commitSec << COMMIT) | (NO_ROUND << RESULT_ROUND)
                | (NO_ROUND << FIRST_ROUND) | (uint256(TaskStatus.Executing) << STATUS) | (taskType_ << TYPE)
                | (version_ << VERSION)
        );
    }

    function id(TaskState state, uint256 round) internal pure returns (uint256) {
        unchecked {
            return _get(state, round * 32, 0xffffffff);
        }
    }

    function commitDeadline(TaskState state) internal pure returns (uint256) {
        return _time(state, COMMIT);
    }

    /// 0 before the quorum.
    function revealFrom(TaskState state) internal pure returns (uint256) {
        if (_get(state, REVEAL, 0xffff) == 0) return 0;
        unchecked {
            return _get(state, DRAWN_AT, 0xffffffffff) + _get(state, REVEAL_FROM, 0xffff);
        }
    }

    function revealDeadline(TaskState state) internal pure returns (uint256) {
        return _time(state, REVEAL);
    }

    function uploadDeadline(TaskState state) internal pure returns (uint256) {
        return _time(state, UPLOAD);
    }

    function verdict(TaskState state, uint256 round) internal pure returns (Verdict) {
        unchecked {
            return Verdict(_get(state, VERDICTS + round * 3, 7));
        }
    }

    function paid(TaskState state, uint256 round) internal pure returns (bool) {
        unchecked {
            return _get(state, PAID + round, 1) == 1;
        }
    }

    function resultRound(TaskState state) internal pure returns (uint256) {
        return _get(state, RESULT_ROUND, 3);
    }

    function firstRound(TaskState state) internal pure returns (uint256) {
        return _get(state, FIRST_ROUND, 3);
    }

    function status(TaskState state) internal pure returns (TaskStatus) {
        return TaskStatus(_get(state, STATUS, 7));
    }

    function taskType(TaskState state) internal pure returns (uint256) {
        return _get(state, TYPE, 1);
    }

    function version(TaskState state) internal pure returns (uint256) {
        return _get(state, VERSION, 0x3fff);
    }

    /// How many rounds have this verdict.
    function count(TaskState state, Verdict value) internal pure returns (uint256 rounds) {
        unchecked {
            // Each lane of three bits becomes 0 where it equals the value, and the sum of the lanes' "not zero" is taken.
            uint256 lanes = _get(state, VERDICTS, 0x1ff) ^ (uint256(value) * 73);
            lanes = (lanes | (lanes >> 1) | (lanes >> 2)) & 73;
            rounds = 3 - (lanes & 1) - ((lanes >> 3) & 1) - (lanes >> 6);
        }
    }

    function withReveal(TaskState state, uint256 fromSec, uint256 deadlineSec) internal pure returns (TaskState) {
        unchecked {
            uint256 drawnAtSec = _get(state, DRAWN_AT, 0xffffffffff);
            state = _set(state, REVEAL_FROM, 0xffff, fromSec - drawnAtSec);
            return _set(state, REVEAL, 0xffff, deadlineSec - drawnAtSec);
        }
    }

    function withUploadDeadline(TaskState state, uint256 deadlineSec) internal pure returns (TaskState) {
        unchecked {
            return _set(state, UPLOAD, 0xffff, deadlineSec - _get(state, DRAWN_AT, 0xffffffffff));
        }
    }

    function withVerdict(TaskState state, uint256 round, Verdict value) internal pure returns (TaskState) {
        unchecked {
            return _set(state, VERDICTS + round * 3, 7, uint256(value));
        }
    }

    function withPaid(TaskState state, uint256 round) internal pure returns (TaskState) {
        unchecked {
            return _set(state, PAID + round, 1, 1);
        }
    }

    function withResultRound(TaskState state, uint256 round) internal pure returns (TaskState) {
        return _set(state, RESULT_ROUND, 3, round);
    }

    function withFirstRound(TaskState state, uint256 round) internal pure returns (TaskState) {
        return _set(state, FIRST_ROUND, 3, round);
    }

    function withStatus(TaskState state, TaskStatus value) internal pure returns (TaskState) {
        return _set(state, STATUS, 7, uint256(value));
    }

    function _time(TaskState state, uint256 shift) private pure returns (uint256) {
        uint256 afterSec = _get(state, shift, 0xffff);
        unchecked {
            return afterSec == 0 ? 0 : _get(state, DRAWN_AT, 0xffffffffff) + afterSec;
        }
    }

    function _get(TaskState state, uint256 shift, uint256 mask) private pure returns (uint256) {
        return (TaskState.unwrap(state) >> shift) & mask;
    }

    function _set(TaskState state, uint256 shift, uint256 mask, uint256 value) private pure returns (TaskState) {
        return TaskState.wrap((TaskState.unwrap(state) & ~(mask << shift)) | (value << shift));
    }
}
