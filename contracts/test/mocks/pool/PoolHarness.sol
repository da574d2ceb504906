// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {NodePool} from "../../../src/libraries/NodePool.sol";

/// The pool on its own, for tests.
contract PoolHarness {
    using NodePool for NodePool.Pool;

    NodePool.Pool private _pool;
    mapping(uint256 id => uint256) private _weights;
    uint256[] private _ids;

    function add(string memory name, uint256 class, uint256 count, uint256 weight) external {
        for (uint256 i = 0; i < count; ++i) {
            uint256 id = _pool.add(keccak256(bytes(name)), name, class);
            _ids.push(id);
            _weights[id] = weight;
            _pool.set(id, weight);
        }
    }

    function set(uint256[] memory ids, uint256 weight) external {
        for (uint256 i = 0; i < ids.length; ++i) {
            _weights[ids[i]] = weight;
            _pool.set(ids[i], weight);
        }
    }

    function nodes(uint256 offset, uint256 limit)
        external
        view
        returns (uint256[] memory ids, uint256[] memory weights, bytes32[] memory groups)
    {
        ids = new uint256[](limit);
        weights = new uint256[](limit);
        groups = new bytes32[](limit);
        for (uint256 i = 0; i < limit; ++i) {
            uint256 id = _ids[offset + i];
            ids[i] = id;
            weights[i] = _weights[id];
            groups[i] = _pool.groupOf(id);
        }
    }

    function available() external view returns (uint256) {
        return _pool.available();
    }

    /// Draws once for each of `count` seeds counted from `seed` and puts everything back in between.
    function draws(uint256 minClass, bool sameGroup, uint256 seed, uint256 count) external returns (uint256[] memory ids) {
        ids = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 drawn = _pool.draw(minClass, sameGroup, keccak256(abi.encode(seed + i)));
            ids[i] = drawn;
            for (; drawn != 0; drawn >>= 32) {
                _pool.set(drawn & 0xffffffff, _weights[drawn & 0xffffffff]);
            }
        }
    }
}
