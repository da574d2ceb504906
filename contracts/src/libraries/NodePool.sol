// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {VramClasses} from "./VramClasses.sol";

/// The available nodes with their weights, as sum trees: a weighted draw and a change of weight touch one word per
/// level, however many nodes there are.
///
/// An id is a path: VRAM class (5 bits) | chunk in the class (16) | leaf word in the chunk (5) | leaf (6).
/// A chunk holds nodes of one GPU group, so a large group has several. The words, from the leaves up:
///
///   leaves   64 weights of 4 bits; 0 is a node that is not available
///   chunk    24 sums of 10 bits, one per leaf word; how many nodes are available (11 bits); has siblings (1 bit)
///   row      16 chunks of a class: the sum (15 bits) and whether its group has three available nodes (1 bit)
///   above    4 children each: the sum (32 bits) and the sum of those chunks whose group has three (32 bits)
///
/// A class of up to 16 chunks is a single row; the tree of a class grows a level when its root is full.
library NodePool {
    struct Group {
        string name;
        uint256 vram;
        uint256 used;
        uint256[] chunks;
    }

    struct Pool {
        /// Levels of every class' tree, 4 bits each; 0 is an empty class.
        uint256 heights;
        mapping(uint256 key => uint256) words;
        mapping(uint256 class => uint256) chunkCounts;
        mapping(uint256 chunk => bytes32) gpuIDs;
        mapping(bytes32 gpuID => Group) groups;
    }

    uint256 internal constant MAX_WEIGHT = 15;
    uint256 private constant LEAF_WORDS = 24;
    uint256 private constant CHUNK_CAPACITY = 1536;
    uint256 private constant MAX_CHUNKS = 65536;
    uint256 private constant QUORUM = 3;

    uint256 private constant CHUNK_LEVEL = 1 << 64;
    uint256 private constant ROW_LEVEL = 2 << 64;
    uint256 private constant ONE_LEVEL = 1 << 64;

    uint256 private constant COUNT_SHIFT = 240;
    uint256 private constant COUNT_MASK = 0x7ff;
    uint256 private constant SIBLINGS = 1 << 251;

    uint256 private constant ROW_ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 private constant EVEN_16 = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;

    error PoolFull(uint256 class);

    /// Gives a new place in the GPU's group. Place 0 of every chunk stays empty: no id is 0.
    function add(Pool storage pool, bytes32 gpuID, string memory name, uint256 class) internal returns (uint256 id) {
        Group storage group = pool.groups[gpuID];
        uint256 used = group.used;
        if (used == 0) {
            group.name = name;
            group.vram = VramClasses.size(class);
        }
        uint256 place = used % CHUNK_CAPACITY;
        if (place == 0) {
            _addChunk(pool, group, gpuID, class);
            place = 1;
            ++used;
        }
        group.used = used + 1;
        uint256 chunk = group.chunks[group.chunks.length - 1];
        // Neighbours lie in different leaf words, so that a draw costs the same in a small group and in a large one.
        id = (chunk << 11) | ((place % LEAF_WORDS) << 6) | (place / LEAF_WORDS);
    }

    function groupOf(Pool storage pool, uint256 id) internal view returns (bytes32) {
        return pool.gpuIDs[id >> 11];
    }

    /// Sets a node's weight; 0 takes it out of the draw.
    function set(Pool storage pool, uint256 id, uint256 weight) internal {
        unchecked {
            uint256 key = id >> 6;
            uint256 shift = (id & 63) * 4;
            uint256 word = pool.words[key];
            uint256 old = (word >> shift) & 15;
            if (old == weight) return;
            pool.words[key] = word ^ ((old ^ weight) << shift);

            uint256 chunk = id >> 11;
            shift = ((id >> 6) & 31) * 10;
            word = pool.words[CHUNK_LEVEL | chunk];
            uint256 before = (word >> COUNT_SHIFT) & COUNT_MASK;
            uint256 count = before;
            if (old == 0) ++count;
            if (weight == 0) --count;
            pool.words[CHUNK_LEVEL | chunk] =
                word + (weight << shift) - (old << shift) + (count << COUNT_SHIFT) - (before << COUNT_SHIFT);

            bool quorum = count >= QUORUM;
            bool siblings = word & SIBLINGS != 0;
            if (siblings && !(quorum && before >= QUORUM)) quorum = _groupCount(pool, chunk) >= QUORUM;
            bool changed = _setRow(pool, chunk, weight - old, quorum);
            if (changed && siblings) _setSiblings(pool, chunk, quorum);
        }
    }

    /// Draws three distinct nodes with at least the class, each with a probability proportional to its weight among
    /// those that are left, and takes them out. With `sameGroup` the group is drawn first, by its weight.
    /// Returns the ids, 32 bits each from the lowest; 0 if there are too few.
    function draw(Pool storage pool, uint256 minClass, bool sameGroup, bytes32 seed) internal returns (uint256 ids) {
        uint256[] memory chunks;
        if (sameGroup) {
            (uint256 first,) = _descend(pool, minClass, true, uint256(seed));
            if (first == 0) return 0;
            --first;
            if (pool.words[CHUNK_LEVEL | first] & SIBLINGS == 0) {
                chunks = new uint256[](1);
                chunks[0] = first;
            } else {
                chunks = pool.groups[pool.gpuIDs[first]].chunks;
            }
        }
        for (uint256 i = 0; i < 3; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            (uint256 chunk, uint256 rest) =
                sameGroup ? _among(pool, chunks, random) : _descend(pool, minClass, false, random);
            if (chunk == 0) return 0;
            uint256 id = _inChunk(pool, chunk - 1, rest);
            set(pool, id, 0);
            ids |= id << (32 * i);
        }
    }

    /// How many nodes are available.
    function available(Pool storage pool) internal view returns (uint256 count) {
        for (uint256 class = 0; class < VramClasses.COUNT; ++class) {
            uint256 chunks = pool.chunkCounts[class];
            for (uint256 i = 0; i < chunks; ++i) {
                count += (pool.words[CHUNK_LEVEL | (class << 16) | i] >> COUNT_SHIFT) & COUNT_MASK;
            }
        }
    }

    function _addChunk(Pool storage pool, Group storage group, bytes32 gpuID, uint256 class) private {
        uint256 count = pool.chunkCounts[class];
        if (count == MAX_CHUNKS) revert PoolFull(class);
        pool.chunkCounts[class] = count + 1;
        uint256 heights = pool.heights;
        uint256 height = (heights >> (class * 4)) & 15;
        if (height == 0) {
            pool.heights = heights + (1 << (class * 4));
        } else if (count == 16 << (2 * (height - 1))) {
            (uint256 sum, uint256 quorumSum) = _totals(pool.words[_rootKey(class, height)], height);
            pool.heights = heights + (1 << (class * 4));
            pool.words[_rootKey(class, height + 1)] = sum | (quorumSum << 32);
        }
        uint256 chunk = (class << 16) | count;
        pool.gpuIDs[chunk] = gpuID;
        uint256 siblings = group.chunks.length;
        if (siblings != 0) {
            uint256 first = group.chunks[0];
            if (siblings == 1) pool.words[CHUNK_LEVEL | first] |= SIBLINGS;
            pool.words[CHUNK_LEVEL | chunk] |= SIBLINGS;
            if (pool.words[_rowKey(first)] & (0x8000 << ((first & 15) * 16)) != 0) _setRow(pool, chunk, 0, true);
        }
        group.chunks.push(chunk);
    }

    /// Adds `delta` (two's complement) to a chunk's sum in its row and above, and notes whether its group has three.
    function _setRow(Pool storage pool, uint256 chunk, uint256 delta, bool quorum) private returns (bool changed) {
        unchecked {
            uint256 shift = (chunk & 15) * 16;
            uint256 key = _rowKey(chunk);
            uint256 word = pool.words[key];
            uint256 entry = (word >> shift) & 0xffff;
            uint256 sum = (entry & 0x7fff) + delta;
            uint256 updated = quorum ? sum | 0x8000 : sum;
            pool.words[key] = word ^ ((entry ^ updated) << shift);

            changed = (entry ^ updated) & 0x8000 != 0;
            uint256 height = (pool.heights >> ((chunk >> 16) * 4)) & 15;
            if (height == 1) return changed;
            uint256 quorumDelta = (quorum ? sum : 0) - (entry & 0x8000 != 0 ? entry & 0x7fff : 0);
            uint256 index = (chunk & 0xffff) >> 4;
            for (uint256 level = 1; level < height; ++level) {
                shift = (index & 3) * 64;
                index >>= 2;
                key = (ROW_LEVEL + level * ONE_LEVEL) | (chunk >> 16 << 16) | index;
                pool.words[key] += (delta << shift) + (quorumDelta << (shift + 32));
            }
        }
    }

    function _setSiblings(Pool storage pool, uint256 chunk, bool quorum) private {
        uint256[] storage chunks = pool.groups[pool.gpuIDs[chunk]].chunks;
        uint256 length = chunks.length;
        for (uint256 i = 0; i < length; ++i) {
            if (chunks[i] != chunk) _setRow(pool, chunks[i], 0, quorum);
        }
    }

    function _groupCount(Pool storage pool, uint256 chunk) private view returns (uint256 count) {
        uint256[] storage chunks = pool.groups[pool.gpuIDs[chunk]].chunks;
        uint256 length = chunks.length;
        for (uint256 i = 0; i < length; ++i) {
            count += (pool.words[CHUNK_LEVEL | chunks[i]] >> COUNT_SHIFT) & COUNT_MASK;
        }
    }

    /// Draws a chunk among all classes from `minClass` up. Returns it plus one (0: nothing to draw from), and what is
    /// left of the random number for the draw inside it.
    function _descend(Pool storage pool, uint256 minClass, bool quorumOnly, uint256 random)
        private
        view
        returns (uint256 chunkPlusOne, uint256 rest)
    {
        unchecked {
            uint256 heights = pool.heights >> (minClass * 4);
            uint256 total;
            uint256[18] memory sums;
            uint256 class = minClass;
            for (uint256 left = heights; left != 0; left >>= 4) {
                if (left & 15 != 0) {
                    (uint256 sum, uint256 quorumSum) =
                        _totals(pool.words[_rootKey(class, left & 15)], left & 15);
                    if (quorumOnly) sum = quorumSum;
                    sums[class] = sum;
                    total += sum;
                }
                ++class;
            }
            if (total == 0) return (0, 0);
            rest = random % total;
            class = minClass;
            while (rest >= sums[class]) rest -= sums[class++];

            uint256 index;
            for (uint256 level = ((heights >> ((class - minClass) * 4)) & 15) - 1; level > 0; --level) {
                uint256 above = pool.words[(ROW_LEVEL + level * ONE_LEVEL) | (class << 16) | index];
                if (quorumOnly) above >>= 32;
                index <<= 2;
                while (rest >= above & 0xffffffff) {
                    rest -= above & 0xffffffff;
                    above >>= 64;
                    ++index;
                }
            }
            uint256 row = pool.words[ROW_LEVEL | (class << 16) | index];
            row = quorumOnly ? _withQuorum(row) : row & (ROW_ONES * 0x7fff);
            index <<= 4;
            while (rest >= row & 0xffff) {
                rest -= row & 0xffff;
                row >>= 16;
                ++index;
            }
            chunkPlusOne = ((class << 16) | index) + 1;
        }
    }

    /// Draws one of a group's chunks by their sums.
    function _among(Pool storage pool, uint256[] memory chunks, uint256 random)
        private
        view
        returns (uint256 chunkPlusOne, uint256 rest)
    {
        if (chunks.length == 1) {
            uint256 sum = _chunkSum(pool, chunks[0]);
            return sum == 0 ? (uint256(0), uint256(0)) : (chunks[0] + 1, random % sum);
        }
        uint256 total;
        for (uint256 i = 0; i < chunks.length; ++i) {
            total += _chunkSum(pool, chunks[i]);
        }
        if (total == 0) return (0, 0);
        rest = random % total;
        for (uint256 i = 0; i < chunks.length; ++i) {
            uint256 sum = _chunkSum(pool, chunks[i]);
            if (rest < sum) return (chunks[i] + 1, rest);
            rest -= sum;
        }
    }

    function _chunkSum(Pool storage pool, uint256 chunk) private view returns (uint256) {
        return (pool.words[_rowKey(chunk)] >> ((chunk & 15) * 16)) & 0x7fff;
    }

    /// The node at `rest` in the running sum of a chunk's weights.
    function _inChunk(Pool storage pool, uint256 chunk, uint256 rest) private view returns (uint256 id) {
        unchecked {
            uint256 word = pool.words[CHUNK_LEVEL | chunk];
            uint256 leafWord = chunk << 5;
            while (rest >= word & 0x3ff) {
                rest -= word & 0x3ff;
                word >>= 10;
                ++leafWord;
            }
            id = (leafWord << 6) | _leafAt(pool.words[leafWord], rest);
        }
    }

    /// The position of the weight that covers `rest`, by halving: the lanes of each word hold sums of the one before.
    function _leafAt(uint256 leaves, uint256 rest) private pure returns (uint256 leaf) {
        unchecked {
            uint256 pairs = (leaves & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f)
                + ((leaves >> 4) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f);
            uint256 fours = (pairs & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff)
                + ((pairs >> 8) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff);
            uint256 eights = (fours & EVEN_16) + ((fours >> 16) & EVEN_16);
            uint256 sixteens = eights + (eights >> 32);
            uint256 half = (sixteens & 0xffff) + ((sixteens >> 64) & 0xffff);
            if (rest >= half) (rest, leaf) = (rest - half, 32);
            uint256 sum = (sixteens >> (leaf * 4)) & 0xffff;
            if (rest >= sum) (rest, leaf) = (rest - sum, leaf + 16);
            sum = (eights >> (leaf * 4)) & 0xffff;
            if (rest >= sum) (rest, leaf) = (rest - sum, leaf + 8);
            sum = (fours >> (leaf * 4)) & 0xffff;
            if (rest >= sum) (rest, leaf) = (rest - sum, leaf + 4);
            sum = (pairs >> (leaf * 4)) & 0xff;
            if (rest >= sum) (rest, leaf) = (rest - sum, leaf + 2);
            if (rest >= (leaves >> (leaf * 4)) & 15) ++leaf;
        }
    }

    /// The sums of a root word: of everything, and of the chunks whose group has three.
    function _totals(uint256 word, uint256 height) private pure returns (uint256 sum, uint256 quorumSum) {
        unchecked {
            if (height == 1) {
                sum = _rowSum(word & (ROW_ONES * 0x7fff));
                quorumSum = _rowSum(_withQuorum(word));
            } else {
                word += word >> 128;
                word += word >> 64;
                sum = word & 0xffffffff;
                quorumSum = (word >> 32) & 0xffffffff;
            }
        }
    }

    /// A row with only the sums of those chunks whose group has three.
    function _withQuorum(uint256 row) private pure returns (uint256) {
        unchecked {
            return row & (((row >> 15) & ROW_ONES) * 0x7fff);
        }
    }

    function _rowSum(uint256 row) private pure returns (uint256) {
        unchecked {
            row = (row & EVEN_16) + ((row >> 16) & EVEN_16);
            row += row >> 128;
            row += row >> 64;
            return (row + (row >> 32)) & 0xffffffff;
        }
    }

    function _rowKey(uint256 chunk) private pure returns (uint256) {
        return ROW_LEVEL | (chunk >> 16 << 16) | ((chunk & 0xffff) >> 4);
    }

    function _rootKey(uint256 class, uint256 height) private pure returns (uint256) {
        unchecked {
            return (ROW_LEVEL + (height - 1) * ONE_LEVEL) | (class << 16);
        }
    }
}
