// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Ownable2Step, Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// CNX, the money of the network. A fifth exists from the start; the rest comes from one minter, which is named
/// once and for all, and never more than the cap.
contract CrynuxToken is ERC20, ERC20Permit, Ownable2Step {
    uint256 public constant CAP_WEI = 8_617_333_262 ether;
    uint256 public constant GENESIS_WEI = CAP_WEI / 5;

    address public minter;

    event MinterSet(address indexed minter);

    error MinterAlreadySet(address minter);
    error NotMinter(address caller);
    error CapExceeded(uint256 supplyWei, uint256 capWei);
    error ZeroMinter();

    constructor(address initialHolder) ERC20("Crynux", "CNX") ERC20Permit("Crynux") Ownable(initialHolder) {
        _mint(initialHolder, GENESIS_WEI);
    }

    /// Names the emission contract, once.
    function setMinter(address minter_) external onlyOwner {
        if (minter != address(0)) revert MinterAlreadySet(minter);
        if (minter_ == address(0)) revert ZeroMinter();
        minter = minter_;
        emit MinterSet(minter_);
    }

    function mint(address to, uint256 amountWei) external {
        if (msg.sender != minter) revert NotMinter(msg.sender);
        uint256 supplyWei = totalSupply() + amountWei;
        if (supplyWei > CAP_WEI) revert CapExceeded(supplyWei, CAP_WEI);
        _mint(to, amountWei);
    }
}
