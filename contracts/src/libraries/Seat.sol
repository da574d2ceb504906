// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {NodeStatus} from "../interfaces/INode.sol";

/// What a task touches of a node, in one word:
/// account (160 bits) | status (3) | weight (4) | misses (4) | task (32) | earned in gwei (53).
type Seat is uint256;

using SeatLib for Seat global;

library SeatLib {
    uint256 private constant STATUS = 160;
    uint256 private constant WEIGHT = 163;
    uint256 private constant MISSES = 167;
    uint256 private constant TASK = 171;
    uint256 private constant EARNED = 203;
    uint256 internal constant MAX_EARNED_GWEI = (1 << 53) - 1;

    function account(Seat seat) internal pure returns (address) {
        return address(uint160(Seat.unwrap(seat)));
    }

    function status(Seat seat) internal pure returns (NodeStatus) {
        return NodeStatus((Seat.unwrap(seat) >> STATUS) & 7);
    }

    function weight(Seat seat) internal pure returns (uint256) {
        return (Seat.unwrap(seat) >> WEIGHT) & 15;
    }

    function misses(Seat seat) internal pure returns (uint256) {
        return (Seat.unwrap(seat) >> MISSES) & 15;
    }

    function taskId(Seat seat) internal pure returns (uint256) {
        return (Seat.unwrap(seat) >> TASK) & 0xffffffff;
    }

    function earnedGwei(Seat seat) internal pure returns (uint256) {
        return Seat.unwrap(seat) >> EARNED;
    }

    function withAccount(Seat seat, address value) internal pure returns (Seat) {
        return _with(seat, 0, type(uint160).max, uint160(value));
    }

    function withStatus(Seat seat, NodeStatus value) internal pure returns (Seat) {
        return _with(seat, STATUS, 7, uint256(value));
    }

    function withWeight(Seat seat, uint256 value) internal pure returns (Seat) {
        return _with(seat, WEIGHT, 15, value);
    }

    function withMisses(Seat seat, uint256 value) internal pure returns (Seat) {
        return _with(seat, MISSES, 15, value);
    }

    function withTask(Seat seat, uint256 value) internal pure returns (Seat) {
        return _with(seat, TASK, 0xffffffff, value);
    }

    function withEarnedGwei(Seat seat, uint256 value) internal pure returns (Seat) {
        return _with(seat, EARNED, MAX_EARNED_GWEI, value);
    }

    function _with(Seat seat, uint256 shift, uint256 mask, uint256 value) private pure returns (Seat) {
        return Seat.wrap((Seat.unwrap(seat) & ~(mask << shift)) | (value << shift));
    }
}
