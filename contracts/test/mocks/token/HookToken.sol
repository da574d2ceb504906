// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A token that makes one call of somebody's choosing in the middle of a transfer, as a reentrant attacker would.
contract HookToken is ERC20 {
    address private _target;
    bytes private _data;
    bool public succeeded;
    bool public tried;

    constructor(address holder) ERC20("Hook", "HOOK") {
        _mint(holder, 1e30);
    }

    function arm(address target, bytes calldata data) external {
        _target = target;
        _data = data;
        tried = false;
        succeeded = false;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        address target = _target;
        if (target == address(0)) return;
        _target = address(0);
        tried = true;
        (succeeded,) = target.call(_data);
    }
}

/// An account that does as it is told, so that a contract can be a node.
contract Puppet {
    function act(address target, bytes calldata data) external {
        (bool ok, bytes memory reason) = target.call(data);
        if (!ok) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
