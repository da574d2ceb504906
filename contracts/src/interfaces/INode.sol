// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Life of a node. Busy, PendingPause and PendingQuit mean that a task holds it.
enum NodeStatus {
    Quit,
    Available,
    Busy,
    PendingPause,
    PendingQuit,
    Paused
}

struct Gpu {
    string name;
    uint256 vram;
}

struct NodeInfo {
    NodeStatus status;
    bytes32 gpuID;
    Gpu gpu;
    uint256 stakeWei;
    uint256 earnedWei;
    uint256 weight;
    uint256 misses;
    address payout;
    uint256 taskId;
}

/// What happened to a node in a task, as far as the node's own record is concerned.
interface INode {
    event NodeJoined(address indexed node, string gpuName, uint256 gpuVram, uint256 stakeWei);
    event NodeQuit(address indexed node, uint256 stakeReturnedWei);
    event NodePaused(address indexed node);
    event NodeResumed(address indexed node);
    event NodePending(address indexed node, NodeStatus status);
    event NodeSlashed(address indexed node, uint256 amountWei);
    event NodePenalised(address indexed node, uint256 amountWei, uint256 misses);
    event NodeRemoved(address indexed node, uint256 stakeReturnedWei);
    event NodeWithdrawn(address indexed node, address indexed payout, uint256 amountWei);
    event PayoutAddressSet(address indexed node, address indexed payout);
    event StakeAmountSet(uint256 stakeWei);

    error NotTask(address caller);
    error IllegalNodeStatus(address node, NodeStatus status);
    error UnknownVramClass(uint256 gpuVram);
    error GpuNameLength(uint256 length);
    error NotEnoughNodes(uint256 vramLimit, bool sameGpu);
    error StakeOutOfBounds(uint256 stakeWei);
    error NotCurrentTask(address node, uint256 taskId);
    error ZeroAddress();

    /// Draws three distinct available nodes, weighted, and makes them busy with the task.
    /// Returns their ids, 32 bits each from the lowest, and their accounts.
    function draw(uint256 taskId, uint256 vramLimit, bool sameGpu, bytes32 seed)
        external
        returns (uint256 ids, address account0, address account1, address account2);
    /// Releases a node that did its work and credits its earnings. Also tells whose a peer's seat is (0: nobody's).
    function complete(uint256 taskId, uint256 id, uint256 earnedWei, uint256 peerId)
        external
        returns (address account, address peer);
    /// Releases a node whose work led nowhere, without credit or blame.
    function release(uint256 taskId, uint256 id) external returns (address account);
    /// Credits a node that the task has released already.
    function credit(uint256 id, uint256 earnedWei) external returns (address account);
    /// Releases a silent node and charges for it; a first missed commitment in a row is free.
    function miss(uint256 taskId, uint256 id, uint256 penaltyWei, bool firstIsFree)
        external
        returns (address account);
    /// Removes a node that lied, with its whole stake.
    function slash(uint256 taskId, uint256 id) external returns (address account);
    /// Sends escrow back to the creator of a task.
    function refund(address creator, uint256 amountWei) external;

    function accountOf(uint256 id) external view returns (address account);
    function taskOf(address account) external view returns (uint256 taskId);
}
