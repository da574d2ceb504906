// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// When two results say the same. SD: every 64-bit pHash differs in fewer bits than the threshold.
library Similarity {
    uint256 private constant M1 = 0x5555555555555555555555555555555555555555555555555555555555555555;
    uint256 private constant M2 = 0x3333333333333333333333333333333333333333333333333333333333333333;
    uint256 private constant M4 = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    uint256 private constant M8 = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant M16 = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
    uint256 private constant LANES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    uint256 private constant HIGH = 0x8000000000000000800000000000000080000000000000008000000000000000;

    /// The number of differing bits of four pHashes at once, one count in each 64-bit lane.
    function distances(uint256 a, uint256 b) internal pure returns (uint256 x) {
        unchecked {
            x = a ^ b;
            x = x - ((x >> 1) & M1);
            x = (x & M2) + ((x >> 2) & M2);
            x = (x + (x >> 4)) & M4;
            x = (x + (x >> 8)) & M8;
            x = (x + (x >> 16)) & M16;
            x = (x + (x >> 32)) & (LANES * 0xffffffff);
        }
    }

    /// True when all four 64-bit lanes of two words differ in fewer than `threshold` bits (1 to 65).
    function similarWords(uint256 a, uint256 b, uint256 threshold) internal pure returns (bool) {
        if (a == b) return true;
        unchecked {
            // A lane reaches its top bit exactly when its count reaches the threshold.
            return ((distances(a, b) + LANES * (0x8000000000000000 - threshold)) & HIGH) == 0;
        }
    }

    /// True when two results of whole pHashes have the same length and every pHash of one is close to that of the other.
    function similar(bytes memory a, bytes memory b, uint256 threshold) internal pure returns (bool) {
        uint256 length = a.length;
        if (length != b.length || length % 8 != 0) return false;
        unchecked {
            for (uint256 offset = 0; offset < length; offset += 32) {
                uint256 wordA;
                uint256 wordB;
                assembly ("memory-safe") {
                    wordA := mload(add(add(a, 32), offset))
                    wordB := mload(add(add(b, 32), offset))
                }
                if (length - offset < 32) {
                    uint256 unused = (32 - (length - offset)) * 8;
                    wordA = (wordA >> unused) << unused;
                    wordB = (wordB >> unused) << unused;
                }
                if (!similarWords(wordA, wordB, threshold)) return false;
            }
        }
        return true;
    }
}
