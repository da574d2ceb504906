// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {VramClasses} from "./VramClasses.sol";

/// The available nodes with their weights, as one sum tree for each VRAM class: a weighted draw and a change of weight
/// touch one word per level, however many nodes there are.
///
/// An id is a path: VRAM class (5 bits) | chunk in the class (16) | leaf word in the chunk (5) | leaf (6).
/// A chunk holds nodes of one GPU group, so a large group has several. The words, from the leaves up:
///
///   leaves   63 weights of 4 bits; 0 is a node that is not available
///   chunk    16 sums of 10 bits, one per leaf word; how many nodes are available (11 bits); flags
///   row      16 chunks of a class: the sum (14 bits), a flag, and whether the chunk's group has a quorum, that is
///            three available nodes (1 bit)
///   above    4 children each: the sum (32 bits) and the sum of those chunks whose group has a quorum (32 bits)
///
/// The tree of a class starts as a single chunk and grows a level when its root is full.
/// Words that are in use carry a bit that is always set: to fill a word that was emptied is dear.
library NodePool {
    struct Group {
        string name;
        uint256 vram;
        uint256 used;
        uint256[] chunks;
    }

    struct Pool {
        /// Levels of every class' tree above the leaves, 4 bits each; 0 is an empty class.
        uint256 heights;
        mapping(uint256 class => uint256) chunkCounts;
        mapping(uint256 chunk => bytes32) gpuIDs;
        mapping(bytes32 gpuID => Group) groups;
        /// Leaves by id / 64, then chunks, then the levels above them. An array, because it needs no hashing.
        uint256[1 << 28] words;
    }

    uint256 internal constant MAX_WEIGHT = 15;
    uint256 private constant QUORUM = 3;
    uint256 private constant LEAF_WORDS = 16;
    uint256 private constant CHUNK_CAPACITY = 16 * 63;
    uint256 private constant MAX_CHUNKS = 65536;

    uint256 private constant CHUNKS = 1 << 26;
    uint256 private constant ROWS = 1 << 27;
    uint256 private constant LEVEL = 1 << 22;

    uint256 private constant LEAVES_IN_USE = 1;
    uint256 private constant LEAVES = ~uint256(15);

    uint256 private constant CHUNK_SUM = 0x3ff;
    uint256 private constant COUNT_SHIFT = 240;
    uint256 private constant COUNT = 0x7ff;
    uint256 private constant SIBLINGS = 1 << 253;
    uint256 private constant IN_ROW = 1 << 254;
    uint256 private constant CHUNK_IN_USE = 1 << 255;

    uint256 private constant ROW_SUM = 0x3fff;
    uint256 private constant ROW_FLAG = 0x4000;
    uint256 private constant QUORATE = 0x8000;
    uint256 private constant ROW_SUMS = 0x3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff3fff;
    uint256 private constant ROW_ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;
    /// The flag of the first entry says that the row is in use, that of the second that there is a level above.
    uint256 private constant ROW_IN_USE = 0x4000;
    uint256 private constant ROW_HAS_PARENT = 0x40000000;

    uint256 private constant ABOVE_SUM = 0xffffffff;

    error PoolFull(uint256 class);

    /// Gives a new place in the GPU's group. No id is 0.
    function add(Pool storage pool, bytes32 gpuID, string memory name, uint256 class) internal returns (uint256 id) {
        Group storage group = pool.groups[gpuID];
        uint256 used = group.used;
        if (used == 0) {
            group.name = name;
            group.vram = VramClasses.size(class);
        }
        uint256 place = used % CHUNK_CAPACITY;
        if (place == 0) _addChunk(pool, group, gpuID, class);
        group.used = used + 1;
        uint256 chunk = group.chunks[group.chunks.length - 1];
        // Neighbours lie in different leaf words, so that a draw costs the same in a small group and in a large one.
        id = (chunk << 11) | ((place % LEAF_WORDS) << 6) | (1 + place / LEAF_WORDS);
        if (place < LEAF_WORDS) pool.words[id >> 6] = LEAVES_IN_USE;
    }

    function groupOf(Pool storage pool, uint256 id) internal view returns (bytes32) {
        return pool.gpuIDs[id >> 11];
    }

    /// Sets a node's weight; 0 takes it out of the draw.
    function set(Pool storage pool, uint256 id, uint256 weight) internal {
        unchecked {
            uint256 shift = (id & 63) * 4;
            uint256 leaves = pool.words[id >> 6];
            uint256 old = (leaves >> shift) & 15;
            if (old == weight) return;
            pool.words[id >> 6] = leaves ^ ((old ^ weight) << shift);
            uint256 count = old == 0 ? 1 : weight == 0 ? type(uint256).max : 0;
            _setChunk(pool, id >> 11, pool.words[CHUNKS + (id >> 11)], ((id >> 6) & 31) * 10, weight - old, count);
        }
    }

    /// Draws three distinct nodes with at least the class, each with a probability proportional to its weight among
    /// those that are left, and takes them out. With `sameGroup` the group is drawn first, by its weight.
    /// Returns the ids, 32 bits each from the lowest; 0 if there are too few.
    function draw(Pool storage pool, uint256 minClass, bool sameGroup, bytes32 seed) internal returns (uint256 ids) {
        unchecked {
            uint256 heights = pool.heights;
            (uint256[18] memory sums, uint256 total) = _sums(pool, heights, minClass, sameGroup);
            if (total == 0) return 0;
            if (sameGroup) {
                (uint256 class, uint256 rest) = _classAt(sums, minClass, uint256(seed) % total);
                (uint256 chunk,) = _chunkAt(pool, class, _height(heights, class), rest, true);
                return _drawInGroup(pool, chunk, seed);
            }
            for (uint256 shift = 0; shift < 96; shift += 32) {
                if (total == 0) return 0;
                (uint256 class, uint256 rest) = _classAt(sums, minClass, _random(seed, shift) % total);
                uint256 chunk;
                (chunk, rest) = _chunkAt(pool, class, _height(heights, class), rest, false);
                (uint256 id, uint256 weight) = _take(pool, chunk, rest);
                ids |= id << shift;
                total -= weight;
                sums[class] -= weight;
            }
        }
    }

    /// How many nodes are available.
    function available(Pool storage pool) internal view returns (uint256 count) {
        for (uint256 class = 0; class < VramClasses.COUNT; ++class) {
            uint256 chunks = pool.chunkCounts[class];
            for (uint256 i = 0; i < chunks; ++i) {
                count += (pool.words[CHUNKS + (class << 16) + i] >> COUNT_SHIFT) & COUNT;
            }
        }
    }

    function _drawInGroup(Pool storage pool, uint256 chunk, bytes32 seed) private returns (uint256 ids) {
        unchecked {
            uint256[] memory chunks;
            if (pool.words[CHUNKS + chunk] & SIBLINGS == 0) {
                chunks = new uint256[](1);
                chunks[0] = chunk;
            } else {
                chunks = pool.groups[pool.gpuIDs[chunk]].chunks;
            }
            uint256 total;
            uint256[] memory sums = new uint256[](chunks.length);
            for (uint256 i = 0; i < chunks.length; ++i) {
                sums[i] = _chunkTotal(pool.words[CHUNKS + chunks[i]]);
                total += sums[i];
            }
            for (uint256 shift = 0; shift < 96; shift += 32) {
                uint256 rest = _random(seed, shift) % total;
                uint256 i;
                while (rest >= sums[i]) rest -= sums[i++];
                (uint256 id, uint256 weight) = _take(pool, chunks[i], rest);
                ids |= id << shift;
                total -= weight;
                sums[i] -= weight;
            }
        }
    }

    function _random(bytes32 seed, uint256 index) private pure returns (uint256 random) {
        assembly ("memory-safe") {
            mstore(0, seed)
            mstore(32, index)
            random := keccak256(0, 64)
        }
    }

    function _addChunk(Pool storage pool, Group storage group, bytes32 gpuID, uint256 class) private {
        uint256 count = pool.chunkCounts[class];
        if (count == MAX_CHUNKS) revert PoolFull(class);
        pool.chunkCounts[class] = count + 1;
        uint256 height = _height(pool.heights, class);
        uint256 first = class << 16;
        if (count == (height < 2 ? height : 1 << (2 * height))) {
            pool.heights += 1 << (class * 4);
            _growRoot(pool, first, height);
            ++height;
        }
        uint256 chunk = first + count;
        pool.gpuIDs[chunk] = gpuID;
        uint256 word = CHUNK_IN_USE;
        if (height > 1) {
            word |= IN_ROW;
            if (count & 15 == 0) pool.words[_rowKey(chunk)] = height > 2 ? ROW_IN_USE | ROW_HAS_PARENT : ROW_IN_USE;
        }
        uint256 siblings = group.chunks.length;
        if (siblings != 0) {
            word |= SIBLINGS;
            uint256 eldest = group.chunks[0];
            if (siblings == 1) pool.words[CHUNKS + eldest] |= SIBLINGS;
            if (pool.words[_rowKey(eldest)] & (QUORATE << ((eldest & 15) * 16)) != 0) {
                _setRow(pool, chunk, 0, true);
            }
        }
        pool.words[CHUNKS + chunk] = word;
        group.chunks.push(chunk);
    }

    /// Puts a new root over the root of a class' tree.
    function _growRoot(Pool storage pool, uint256 first, uint256 height) private {
        if (height == 0) return;
        uint256 word = pool.words[_rootKey(first >> 16, height)];
        (uint256 sum, uint256 quorumSum) = _totals(word, height);
        if (height == 1) {
            pool.words[CHUNKS + first] = word | IN_ROW;
            pool.words[_rowKey(first)] = sum | ROW_IN_USE | (quorumSum != 0 ? QUORATE : 0);
        } else {
            if (height == 2) pool.words[_rowKey(first)] = word | ROW_HAS_PARENT;
            pool.words[_rootKey(first >> 16, height + 1)] = sum | (quorumSum << 32);
        }
    }

    /// Takes the node at `rest` of a chunk's weights out of the draw.
    function _take(Pool storage pool, uint256 chunk, uint256 rest) private returns (uint256 id, uint256 weight) {
        unchecked {
            uint256 word = pool.words[CHUNKS + chunk];
            uint256 shift;
            for (uint256 sum = word & CHUNK_SUM; rest >= sum; sum = (word >> shift) & CHUNK_SUM) {
                rest -= sum;
                shift += 10;
            }
            uint256 key = (chunk << 5) + shift / 10;
            uint256 leaves = pool.words[key];
            uint256 leaf = _leafAt(leaves & LEAVES, rest);
            id = (key << 6) | leaf;
            weight = (leaves >> (leaf * 4)) & 15;
            pool.words[key] = leaves ^ (weight << (leaf * 4));
            _setChunk(pool, chunk, word, shift, 0 - weight, type(uint256).max);
        }
    }

    /// Adds `delta` to a sum of a chunk and `countDelta` to its count (both in two's complement), and carries it up.
    function _setChunk(
        Pool storage pool,
        uint256 chunk,
        uint256 word,
        uint256 shift,
        uint256 delta,
        uint256 countDelta
    ) private {
        unchecked {
            uint256 before = (word >> COUNT_SHIFT) & COUNT;
            uint256 count = before + countDelta;
            pool.words[CHUNKS + chunk] = word + (delta << shift) + (countDelta << COUNT_SHIFT);
            if (word & IN_ROW == 0) return;
            bool quorum = count >= QUORUM;
            bool siblings = word & SIBLINGS != 0;
            if (siblings && (!quorum || before < QUORUM)) quorum = _groupCount(pool, chunk) >= QUORUM;
            bool changed = _setRow(pool, chunk, delta, quorum);
            if (changed && siblings) _setSiblings(pool, chunk, quorum);
        }
    }

    /// Adds `delta` to a chunk's sum in its row and above, and notes whether its group has a quorum.
    function _setRow(Pool storage pool, uint256 chunk, uint256 delta, bool quorum) private returns (bool changed) {
        unchecked {
            uint256 shift = (chunk & 15) * 16;
            uint256 key = _rowKey(chunk);
            uint256 word = pool.words[key];
            uint256 entry = (word >> shift) & (ROW_SUM | QUORATE);
            uint256 sum = (entry & ROW_SUM) + delta;
            uint256 updated = quorum ? sum | QUORATE : sum;
            pool.words[key] = word ^ ((entry ^ updated) << shift);

            changed = (entry ^ updated) & QUORATE != 0;
            if (word & ROW_HAS_PARENT == 0) return changed;
            uint256 quorumDelta = (quorum ? sum : 0) - (entry & QUORATE != 0 ? entry & ROW_SUM : 0);
            uint256 height = _height(pool.heights, chunk >> 16);
            uint256 index = (chunk & 0xffff) >> 4;
            for (uint256 level = 1; level < height - 1; ++level) {
                shift = (index & 3) * 64;
                index >>= 2;
                pool.words[ROWS + level * LEVEL + (chunk >> 16 << 16) + index] +=
                    (delta << shift) + (quorumDelta << (shift + 32));
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
            count += (pool.words[CHUNKS + chunks[i]] >> COUNT_SHIFT) & COUNT;
        }
    }

    /// The sums of the classes from `minClass` up.
    function _sums(Pool storage pool, uint256 heights, uint256 minClass, bool quorumOnly)
        private
        view
        returns (uint256[18] memory sums, uint256 total)
    {
        unchecked {
            uint256 class = minClass;
            for (uint256 left = heights >> (minClass * 4); left != 0; left >>= 4) {
                uint256 height = left & 15;
                if (height != 0) {
                    (uint256 sum, uint256 quorumSum) = _totals(pool.words[_rootKey(class, height)], height);
                    if (quorumOnly) sum = quorumSum;
                    sums[class] = sum;
                    total += sum;
                }
                ++class;
            }
        }
    }

    function _classAt(uint256[18] memory sums, uint256 class, uint256 rest)
        private
        pure
        returns (uint256, uint256)
    {
        unchecked {
            while (rest >= sums[class]) rest -= sums[class++];
            return (class, rest);
        }
    }

    /// The chunk at `rest` of the weights of a class, and what is left of `rest` inside it.
    function _chunkAt(Pool storage pool, uint256 class, uint256 height, uint256 rest, bool quorumOnly)
        private
        view
        returns (uint256, uint256)
    {
        unchecked {
            if (height == 1) return (class << 16, rest);
            uint256 index;
            for (uint256 level = height - 2; level > 0; --level) {
                uint256 above = pool.words[ROWS + level * LEVEL + (class << 16) + index];
                if (quorumOnly) above >>= 32;
                index <<= 2;
                while (rest >= above & ABOVE_SUM) {
                    rest -= above & ABOVE_SUM;
                    above >>= 64;
                    ++index;
                }
            }
            uint256 row = pool.words[ROWS + (class << 16) + index];
            row = quorumOnly ? _quorate(row) : row & ROW_SUMS;
            index <<= 4;
            while (rest >= row & ROW_SUM) {
                rest -= row & ROW_SUM;
                row >>= 16;
                ++index;
            }
            return ((class << 16) + index, rest);
        }
    }

    /// The position of the weight that covers `rest`, by halving: the lanes of each word hold sums of the one before.
    function _leafAt(uint256 leaves, uint256 rest) private pure returns (uint256 leaf) {
        unchecked {
            uint256 pairs = (leaves & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f)
                + ((leaves >> 4) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f);
            uint256 fours = (pairs & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff)
                + ((pairs >> 8) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff);
            uint256 eights = (fours & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff)
                + ((fours >> 16) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff);
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

    /// The sums of a root word: of everything, and of the chunks whose group has a quorum.
    function _totals(uint256 word, uint256 height) private pure returns (uint256 sum, uint256 quorumSum) {
        unchecked {
            if (height == 1) {
                sum = _chunkTotal(word);
                quorumSum = (word >> COUNT_SHIFT) & COUNT >= QUORUM ? sum : 0;
            } else if (height == 2) {
                sum = _rowTotal(word & ROW_SUMS);
                quorumSum = _rowTotal(_quorate(word));
            } else {
                word += word >> 128;
                word += word >> 64;
                sum = word & ABOVE_SUM;
                quorumSum = (word >> 32) & ABOVE_SUM;
            }
        }
    }

    function _chunkTotal(uint256 word) private pure returns (uint256) {
        unchecked {
            uint256 even = 0x00000000000000000000000000003ff003ff003ff003ff003ff003ff003ff003ff;
            word = (word & even) + ((word >> 10) & even);
            word += word >> 80;
            word += word >> 40;
            return (word + (word >> 20)) & 0xfffff;
        }
    }

    function _rowTotal(uint256 row) private pure returns (uint256) {
        unchecked {
            uint256 even = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
            row = (row & even) + ((row >> 16) & even);
            row += row >> 128;
            row += row >> 64;
            return (row + (row >> 32)) & 0xffffffff;
        }
    }

    /// A row with only the sums of those chunks whose group has a quorum.
    function _quorate(uint256 row) private pure returns (uint256) {
        unchecked {
            return row & (((row >> 15) & ROW_ONES) * ROW_SUM);
        }
    }

    function _height(uint256 heights, uint256 class) private pure returns (uint256) {
        return (heights >> (class * 4)) & 15;
    }

    function _rowKey(uint256 chunk) private pure returns (uint256) {
        unchecked {
            return ROWS + (chunk >> 16 << 16) + ((chunk & 0xffff) >> 4);
        }
    }

    function _rootKey(uint256 class, uint256 height) private pure returns (uint256) {
        unchecked {
            return height == 1 ? CHUNKS + (class << 16) : ROWS + (height - 2) * LEVEL + (class << 16);
        }
    }
}
