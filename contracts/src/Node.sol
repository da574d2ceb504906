// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Ownable2Step, Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {INode, NodeInfo, NodeStatus, Gpu} from "./interfaces/INode.sol";
import {NodePool} from "./libraries/NodePool.sol";
import {Seat, SeatLib} from "./libraries/Seat.sol";
import {VramClasses} from "./libraries/VramClasses.sol";

/// The nodes: who they are, what they have staked and earned, and who is drawn next.
/// It holds all the CNX of the network: stakes, earnings, and the escrow of tasks.
contract Node is INode, Ownable2Step {
    using SafeERC20 for IERC20;
    using NodePool for NodePool.Pool;

    struct Account {
        uint96 stakeWei;
        /// The stake that was asked for at the join.
        uint96 requiredWei;
        uint32 listIndex;
        /// Earnings that no longer fit in the seat.
        uint256 savedWei;
    }

    uint256 public constant MIN_STAKE_WEI = 1 ether;
    uint256 public constant MAX_STAKE_WEI = 1_000_000 ether;
    uint256 public constant START_WEIGHT = 8;
    uint256 public constant MAX_WEIGHT = NodePool.MAX_WEIGHT;
    uint256 private constant MAX_MISSES = 15;
    uint256 private constant MAX_GPU_NAME_BYTES = 128;

    IERC20 public immutable token;
    address public immutable task;
    address public immutable incentivePool;

    uint256 public stakeAmount = 400 ether;

    NodePool.Pool private _pool;
    uint32[] private _list;
    /// By id. An array, because it needs no hashing.
    Seat[1 << 32] private _seats;
    mapping(uint256 id => Account) private _accounts;
    mapping(address account => uint256) private _ids;
    mapping(address account => address) private _payouts;

    modifier onlyTask() {
        if (msg.sender != task) revert NotTask(msg.sender);
        _;
    }

    constructor(IERC20 token_, address task_, address incentivePool_, address owner_) Ownable(owner_) {
        if (address(token_) == address(0) || task_ == address(0) || incentivePool_ == address(0)) {
            revert ZeroAddress();
        }
        token = token_;
        task = task_;
        incentivePool = incentivePool_;
        emit StakeAmountSet(stakeAmount);
    }

    // ---------------------------------------------------------------------------------------------- operators

    function join(string calldata gpuName, uint256 gpuVram) external {
        _join(gpuName, gpuVram);
    }

    /// Joins with a signed allowance. A permit that somebody else has already submitted does no harm.
    function joinWithPermit(string calldata gpuName, uint256 gpuVram, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        try IERC20Permit(address(token)).permit(msg.sender, address(this), stakeAmount, deadline, v, r, s) {} catch {}
        _join(gpuName, gpuVram);
    }

    function quit() external {
        (uint256 id, Seat seat, NodeStatus status) = _own();
        if (status == NodeStatus.Available || status == NodeStatus.Paused) {
            _quit(id, seat);
        } else if (status == NodeStatus.Busy || status == NodeStatus.PendingPause) {
            _seats[id] = seat.withStatus(NodeStatus.PendingQuit);
            emit NodePending(msg.sender, NodeStatus.PendingQuit);
        } else {
            revert IllegalNodeStatus(msg.sender, status);
        }
    }

    function pause() external {
        (uint256 id, Seat seat, NodeStatus status) = _own();
        if (status == NodeStatus.Available) {
            _seats[id] = seat.withStatus(NodeStatus.Paused);
            _pool.set(id, 0);
            emit NodePaused(msg.sender);
        } else if (status == NodeStatus.Busy) {
            _seats[id] = seat.withStatus(NodeStatus.PendingPause);
            emit NodePending(msg.sender, NodeStatus.PendingPause);
        } else {
            revert IllegalNodeStatus(msg.sender, status);
        }
    }

    /// Ends a pause, or takes back one that waits for the end of a task.
    function resume() external {
        (uint256 id, Seat seat, NodeStatus status) = _own();
        if (status == NodeStatus.Paused) {
            _seats[id] = seat.withStatus(NodeStatus.Available);
            _pool.set(id, seat.weight());
        } else if (status == NodeStatus.PendingPause) {
            _seats[id] = seat.withStatus(NodeStatus.Busy);
        } else {
            revert IllegalNodeStatus(msg.sender, status);
        }
        emit NodeResumed(msg.sender);
    }

    /// Earnings go to this address from now on; the zero address means the node's own.
    function setPayoutAddress(address payout) external {
        _payouts[msg.sender] = payout;
        emit PayoutAddressSet(msg.sender, payout);
    }

    function withdraw() external returns (uint256 amountWei) {
        uint256 id = _ids[msg.sender];
        amountWei = _earnedWei(id);
        if (amountWei == 0) return 0;
        _seats[id] = _seats[id].withEarnedGwei(0);
        _accounts[id].savedWei = 0;
        address payout = _payoutOf(msg.sender);
        emit NodeWithdrawn(msg.sender, payout, amountWei);
        token.safeTransfer(payout, amountWei);
    }

    // ------------------------------------------------------------------------------------------------- owner

    /// The stake for nodes that join from now on.
    function setStakeAmount(uint256 stakeWei) external onlyOwner {
        if (stakeWei < MIN_STAKE_WEI || stakeWei > MAX_STAKE_WEI) revert StakeOutOfBounds(stakeWei);
        stakeAmount = stakeWei;
        emit StakeAmountSet(stakeWei);
    }

    // ----------------------------------------------------------------------------------------- task contract

    function draw(uint256 taskId, uint256 vramLimit, bool sameGpu, bytes32 seed)
        external
        onlyTask
        returns (uint256 ids, address account0, address account1, address account2)
    {
        ids = _pool.draw(VramClasses.ceil(vramLimit), sameGpu, seed);
        if (ids == 0) revert NotEnoughNodes(vramLimit, sameGpu);
        account0 = _occupy(ids & 0xffffffff, taskId);
        account1 = _occupy((ids >> 32) & 0xffffffff, taskId);
        account2 = _occupy(ids >> 64, taskId);
    }

    function complete(uint256 taskId, uint256 id, uint256 earnedWei, uint256 peerId)
        external
        onlyTask
        returns (address account, address peer)
    {
        Seat seat = _held(id, taskId);
        uint256 weight = seat.weight();
        if (weight < MAX_WEIGHT) seat = seat.withWeight(weight + 1);
        account = _free(id, _credited(id, seat.withMisses(0), earnedWei));
        if (peerId != 0) peer = _seats[peerId].account();
    }

    function release(uint256 taskId, uint256 id) external onlyTask returns (address account) {
        return _free(id, _held(id, taskId));
    }

    function credit(uint256 id, uint256 earnedWei) external onlyTask returns (address account) {
        account = _seats[id].account();
        // Since then it may have come back with another GPU.
        id = _ids[account];
        _seats[id] = _credited(id, _seats[id], earnedWei);
    }

    function miss(uint256 taskId, uint256 id, uint256 penaltyWei, bool firstIsFree)
        external
        onlyTask
        returns (address account)
    {
        Seat seat = _held(id, taskId);
        account = seat.account();
        uint256 misses = seat.misses() + 1;
        if (misses > MAX_MISSES) misses = MAX_MISSES;
        uint256 weight = seat.weight() / 2;
        seat = seat.withMisses(misses).withWeight(weight == 0 ? 1 : weight);

        Account storage record = _accounts[id];
        uint256 stakeWei = record.stakeWei;
        uint256 amountWei = firstIsFree && misses == 1 ? 0 : penaltyWei << (misses > 9 ? 8 : misses - 1);
        if (amountWei > stakeWei) amountWei = stakeWei;
        record.stakeWei = uint96(stakeWei - amountWei);
        emit NodePenalised(account, amountWei, misses);
        if ((stakeWei - amountWei) * 2 < record.requiredWei) {
            uint256 restWei = _remove(id, seat);
            emit NodeRemoved(account, restWei);
            token.safeTransfer(account, restWei);
        } else {
            _free(id, seat);
        }
        if (amountWei != 0) token.safeTransfer(incentivePool, amountWei);
    }

    function slash(uint256 taskId, uint256 id) external onlyTask returns (address account) {
        Seat seat = _held(id, taskId);
        account = seat.account();
        uint256 amountWei = _remove(id, seat.withWeight(1));
        emit NodeSlashed(account, amountWei);
        token.safeTransfer(incentivePool, amountWei);
    }

    function refund(address creator, uint256 amountWei) external onlyTask {
        token.safeTransfer(creator, amountWei);
    }

    // ------------------------------------------------------------------------------------------------- views

    function accountOf(uint256 id) external view returns (address) {
        return _seats[id].account();
    }

    function taskOf(address account) external view returns (uint256) {
        return _seats[_ids[account]].taskId();
    }

    function getNodeStatus(address account) external view returns (NodeStatus) {
        return _seats[_ids[account]].status();
    }

    function getNodeInfo(address account) external view returns (NodeInfo memory info) {
        uint256 id = _ids[account];
        info.payout = _payoutOf(account);
        if (id == 0) return info;
        Seat seat = _seats[id];
        info.status = seat.status();
        info.gpuID = _pool.groupOf(id);
        NodePool.Group storage group = _pool.groups[info.gpuID];
        info.gpu = Gpu(group.name, group.vram);
        info.stakeWei = _accounts[id].stakeWei;
        info.earnedWei = _earnedWei(id);
        info.weight = seat.weight();
        info.misses = seat.misses();
        info.taskId = seat.taskId();
    }

    function totalNodes() external view returns (uint256) {
        return _list.length;
    }

    function availableNodes() external view returns (uint256) {
        return _pool.available();
    }

    function vramClasses() external pure returns (uint256[] memory sizes) {
        sizes = new uint256[](VramClasses.COUNT);
        for (uint256 i = 0; i < sizes.length; ++i) {
            sizes[i] = VramClasses.size(i);
        }
    }

    /// The accounts of joined nodes, in no particular order: at most `limit` from `offset` on.
    function getNodes(uint256 offset, uint256 limit) external view returns (address[] memory accounts) {
        uint256 total = _list.length;
        if (offset >= total) return accounts;
        uint256 length = total - offset < limit ? total - offset : limit;
        accounts = new address[](length);
        for (uint256 i = 0; i < length; ++i) {
            accounts[i] = _seats[_list[offset + i]].account();
        }
    }

    // ---------------------------------------------------------------------------------------------- internals

    function _own() private view returns (uint256 id, Seat seat, NodeStatus status) {
        id = _ids[msg.sender];
        seat = _seats[id];
        status = seat.status();
    }

    function _join(string calldata gpuName, uint256 gpuVram) private {
        (uint256 oldId, Seat old, NodeStatus status) = _own();
        if (status != NodeStatus.Quit) revert IllegalNodeStatus(msg.sender, status);
        uint256 nameBytes = bytes(gpuName).length;
        if (nameBytes == 0 || nameBytes > MAX_GPU_NAME_BYTES) revert GpuNameLength(nameBytes);
        uint256 class = VramClasses.ceil(gpuVram);
        if (class == VramClasses.COUNT || VramClasses.size(class) != gpuVram) revert UnknownVramClass(gpuVram);

        // Who comes back keeps a bad name, its earnings and, with the same GPU, its place.
        bytes32 gpuID = keccak256(abi.encodePacked(gpuName, gpuVram));
        uint256 id = oldId;
        if (oldId == 0 || _pool.groupOf(oldId) != gpuID) {
            id = _pool.add(gpuID, gpuName, class);
            _ids[msg.sender] = id;
            if (oldId != 0) {
                _seats[oldId] = old.withEarnedGwei(0);
                _accounts[id].savedWei = _accounts[oldId].savedWei;
                _accounts[oldId].savedWei = 0;
            }
        }
        uint256 weight = oldId == 0 || old.weight() > START_WEIGHT ? START_WEIGHT : old.weight();
        _seats[id] = old.withAccount(msg.sender).withStatus(NodeStatus.Available).withWeight(weight);
        _pool.set(id, weight);

        uint256 stakeWei = stakeAmount;
        Account storage record = _accounts[id];
        record.stakeWei = uint96(stakeWei);
        record.requiredWei = uint96(stakeWei);
        record.listIndex = uint32(_list.length);
        _list.push(uint32(id));
        emit NodeJoined(msg.sender, gpuName, gpuVram, stakeWei);
        token.safeTransferFrom(msg.sender, address(this), stakeWei);
    }

    function _quit(uint256 id, Seat seat) private {
        address account = seat.account();
        uint256 stakeWei = _remove(id, seat);
        emit NodeQuit(account, stakeWei);
        token.safeTransfer(account, stakeWei);
    }

    /// Takes a node out of the network. Returns its stake, which the caller must send on.
    function _remove(uint256 id, Seat seat) private returns (uint256 stakeWei) {
        if (seat.status() == NodeStatus.Available) _pool.set(id, 0);
        _seats[id] = seat.withStatus(NodeStatus.Quit).withTask(0);
        Account storage record = _accounts[id];
        stakeWei = record.stakeWei;
        record.stakeWei = 0;
        uint32 last = _list[_list.length - 1];
        _list[record.listIndex] = last;
        _accounts[last].listIndex = record.listIndex;
        _list.pop();
    }

    function _occupy(uint256 id, uint256 taskId) private returns (address) {
        Seat seat = _seats[id];
        _seats[id] = seat.withStatus(NodeStatus.Busy).withTask(taskId);
        return seat.account();
    }

    /// The seat of a node that is at work on exactly this task.
    function _held(uint256 id, uint256 taskId) private view returns (Seat seat) {
        seat = _seats[id];
        if (seat.taskId() != taskId) revert NotCurrentTask(seat.account(), taskId);
    }

    /// Ends a node's work on its task, whatever it had asked for meanwhile.
    function _free(uint256 id, Seat seat) private returns (address account) {
        account = seat.account();
        NodeStatus status = seat.status();
        seat = seat.withTask(0);
        if (status == NodeStatus.Busy) {
            _seats[id] = seat.withStatus(NodeStatus.Available);
            _pool.set(id, seat.weight());
        } else if (status == NodeStatus.PendingPause) {
            _seats[id] = seat.withStatus(NodeStatus.Paused);
            emit NodePaused(account);
        } else {
            _quit(id, seat);
        }
    }

    /// Adds to the earnings of a seat, which is not stored yet.
    function _credited(uint256 id, Seat seat, uint256 earnedWei) private returns (Seat) {
        uint256 earnedGwei = seat.earnedGwei() + earnedWei / 1 gwei;
        if (earnedGwei > SeatLib.MAX_EARNED_GWEI) {
            _accounts[id].savedWei += earnedGwei * 1 gwei;
            earnedGwei = 0;
        }
        return seat.withEarnedGwei(earnedGwei);
    }

    function _earnedWei(uint256 id) private view returns (uint256) {
        return _seats[id].earnedGwei() * 1 gwei + _accounts[id].savedWei;
    }

    function _payoutOf(address account) private view returns (address) {
        address payout = _payouts[account];
        return payout == address(0) ? account : payout;
    }
}
