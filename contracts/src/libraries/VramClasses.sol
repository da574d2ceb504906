// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The VRAM sizes a node may declare, in GB, smallest first: nobody can carve out a size that only its own nodes have.
library VramClasses {
    uint256 internal constant COUNT = 18;
    /// 16 bits each; sizes from class 16 on are in SIZES_HIGH.
    uint256 private constant SIZES =
        0x0080006000500040003000280020001800140010000c000b000a000800060004;
    uint256 private constant SIZES_HIGH = 0x00c0008d;

    function size(uint256 class) internal pure returns (uint256) {
        return class < 16 ? (SIZES >> (class * 16)) & 0xffff : (SIZES_HIGH >> ((class - 16) * 16)) & 0xffff;
    }

    /// The smallest class with at least `vram`; COUNT when there is none.
    function ceil(uint256 vram) internal pure returns (uint256 class) {
        unchecked {
            while (class < COUNT && size(class) < vram) ++class;
        }
    }
}
