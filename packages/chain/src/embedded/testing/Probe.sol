// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What the tests of the embedded chain need a contract for. Compiled by hand into probe.ts (solc 0.8.30, optimizer, paris).
contract Probe {
    struct Item { address owner; uint256 value; bytes32 hash; uint64 at; }

    event Stored(uint256 indexed id, address indexed owner, bytes32 indexed hash, uint256 value);
    error TooSmall(uint256 given, uint256 least);

    uint256 public count;
    mapping(uint256 => Item) public items;
    mapping(address => uint256) public balances;

    constructor() payable {}

    function store(bytes32 hash) external returns (uint256 id) {
        id = ++count;
        items[id] = Item(msg.sender, id * 3, hash, uint64(block.timestamp));
        balances[msg.sender] += 1;
        emit Stored(id, msg.sender, hash, id * 3);
    }

    function clear(uint256 id) external { delete items[id]; }

    function atLeast(uint256 given) external pure { if (given < 10) revert TooSmall(given, 10); }
    function because() external pure { revert("because"); }
    function divide(uint256 a, uint256 b) external pure returns (uint256) { return a / b; }
    function burn() external { for (uint256 i = 1; ; i++) items[i].value = i; }

    function clock() external view returns (uint256 number, uint256 timestamp, uint256 random) {
        return (block.number, block.timestamp, block.prevrandao);
    }
    function hashOf(uint256 number) external view returns (bytes32) { return blockhash(number); }
    function keepHash() external { items[0].hash = blockhash(block.number - 1); items[0].value = block.number - 1; }

    /// Needs far more gas than it uses: the callee wants 2 M at hand.
    function hungry() external returns (uint256) { return Probe(address(this)).wantsGas(); }
    function wantsGas() external returns (uint256) { require(gasleft() > 2_000_000, "more gas"); return ++count; }

    function writeAndFail() external payable { count = 999; items[1].value = 999; new Child(false); revert(); }
    /// Counts one, and tries something that must leave no trace.
    function failInside() external payable { ++count; try Probe(address(this)).writeAndFail{value: msg.value}() {} catch {} }

    function spawn(bytes32 salt) external returns (address) { return address(new Child{salt: salt}(true)); }
}

contract Child {
    uint256 public kept = 7;
    constructor(bool die) { if (die) selfdestruct(payable(msg.sender)); }
}
