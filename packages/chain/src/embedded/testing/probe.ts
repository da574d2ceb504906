/** Probe.sol, compiled. */
export const probeAbi = [
  {
    inputs: [],
    stateMutability: "payable",
    type: "constructor",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "given",
        type: "uint256",
      },
      {
        internalType: "uint256",
        name: "least",
        type: "uint256",
      },
    ],
    name: "TooSmall",
    type: "error",
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: "uint256",
        name: "id",
        type: "uint256",
      },
      {
        indexed: true,
        internalType: "address",
        name: "owner",
        type: "address",
      },
      {
        indexed: true,
        internalType: "bytes32",
        name: "hash",
        type: "bytes32",
      },
      {
        indexed: false,
        internalType: "uint256",
        name: "value",
        type: "uint256",
      },
    ],
    name: "Stored",
    type: "event",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "given",
        type: "uint256",
      },
    ],
    name: "atLeast",
    outputs: [],
    stateMutability: "pure",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "address",
        name: "",
        type: "address",
      },
    ],
    name: "balances",
    outputs: [
      {
        internalType: "uint256",
        name: "",
        type: "uint256",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [],
    name: "because",
    outputs: [],
    stateMutability: "pure",
    type: "function",
  },
  {
    inputs: [],
    name: "burn",
    outputs: [],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "id",
        type: "uint256",
      },
    ],
    name: "clear",
    outputs: [],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [],
    name: "clock",
    outputs: [
      {
        internalType: "uint256",
        name: "number",
        type: "uint256",
      },
      {
        internalType: "uint256",
        name: "timestamp",
        type: "uint256",
      },
      {
        internalType: "uint256",
        name: "random",
        type: "uint256",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [],
    name: "count",
    outputs: [
      {
        internalType: "uint256",
        name: "",
        type: "uint256",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "a",
        type: "uint256",
      },
      {
        internalType: "uint256",
        name: "b",
        type: "uint256",
      },
    ],
    name: "divide",
    outputs: [
      {
        internalType: "uint256",
        name: "",
        type: "uint256",
      },
    ],
    stateMutability: "pure",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "number",
        type: "uint256",
      },
    ],
    name: "hashOf",
    outputs: [
      {
        internalType: "bytes32",
        name: "",
        type: "bytes32",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [],
    name: "hungry",
    outputs: [
      {
        internalType: "uint256",
        name: "",
        type: "uint256",
      },
    ],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "",
        type: "uint256",
      },
    ],
    name: "items",
    outputs: [
      {
        internalType: "address",
        name: "owner",
        type: "address",
      },
      {
        internalType: "uint256",
        name: "value",
        type: "uint256",
      },
      {
        internalType: "bytes32",
        name: "hash",
        type: "bytes32",
      },
      {
        internalType: "uint64",
        name: "at",
        type: "uint64",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [],
    name: "keepHash",
    outputs: [],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "bytes32",
        name: "salt",
        type: "bytes32",
      },
    ],
    name: "spawn",
    outputs: [
      {
        internalType: "address",
        name: "",
        type: "address",
      },
    ],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "bytes32",
        name: "hash",
        type: "bytes32",
      },
    ],
    name: "store",
    outputs: [
      {
        internalType: "uint256",
        name: "id",
        type: "uint256",
      },
    ],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [],
    name: "wantsGas",
    outputs: [
      {
        internalType: "uint256",
        name: "",
        type: "uint256",
      },
    ],
    stateMutability: "nonpayable",
    type: "function",
  },
] as const;

export const probeBytecode =
  "0x60806040526107de806100136000396000f3fe608060405234801561001057600080fd5b50600436106100f55760003560e01c80637e551b7511610097578063a0b225f311610066578063a0b225f3146101d8578063bfb231d2146101e0578063c0fe1af814610260578063f88e9fbf146102ae57600080fd5b80637e551b751461016b578063911c37ae1461017d57806391ddadf4146101a857806395ec5129146101c557600080fd5b806344df8e70116100d357806344df8e70146101405780634b5c733c14610148578063654cf88c146101505780637c92e12e1461016357600080fd5b806306661abd146100fa57806327e235e3146101165780633cc064cc14610136575b600080fd5b61010360005481565b6040519081526020015b60405180910390f35b6101036101243660046105fb565b60026020526000908152604090205481565b61013e6102c1565b005b61013e6102f8565b61013e610322565b61010361015e36600461062b565b610393565b6101036104a9565b61010361017936600461062b565b4090565b61019061018b36600461062b565b610514565b6040516001600160a01b03909116815260200161010d565b60408051438152426020820152449181019190915260600161010d565b61013e6101d336600461062b565b610554565b610103610583565b61022c6101ee36600461062b565b600160208190526000918252604090912080549181015460028201546003909201546001600160a01b039093169290919067ffffffffffffffff1684565b604080516001600160a01b03909516855260208501939093529183015267ffffffffffffffff16606082015260800161010d565b61013e61026e36600461062b565b6000908152600160208190526040822080546001600160a01b03191681559081018290556002810191909155600301805467ffffffffffffffff19169055565b6101036102bc366004610644565b6105da565b60405162461bcd60e51b81526020600482015260076024820152666265636175736560c81b60448201526064015b60405180910390fd5b60015b6000818152600160208190526040909120018190558061031a8161067c565b9150506102fb565b61032d600143610695565b600080526001602081905290407fa6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb4b556103669043610695565b6000805260016020527fa6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb4a55565b600080600081546103a39061067c565b91829055506040805160808101909152338152909150602081016103c88360036106a8565b815260208082018590524267ffffffffffffffff90811660409384015260008581526001808452848220865181546001600160a01b0319166001600160a01b039091161781558685015181830155868601516002808301919091556060909701516003909101805467ffffffffffffffff191691909416179092553381529390915290822080549192909161045e9084906106bf565b9091555082905033827fbe9ac9534044b3c81aec6dbd425ffd60e674713a7ade0b25dc4270aba323db946104938260036106a8565b60405190815260200160405180910390a4919050565b6000306001600160a01b031663a0b225f36040518163ffffffff1660e01b81526004016020604051808303816000875af11580156104eb573d6000803e3d6000fd5b505050506040513d601f19601f8201168201806040525081019061050f91906106d2565b905090565b6000816001604051610525906105ef565b90151581526020018190604051809103906000f590508015801561054d573d6000803e3d6000fd5b5092915050565b600a8110156105805760405163e94fe3af60e01b815260048101829052600a60248201526044016102ef565b50565b6000621e84805a116105c25760405162461bcd60e51b81526020600482015260086024820152676d6f72652067617360c01b60448201526064016102ef565b60008081546105d09061067c565b9182905550919050565b60006105e682846106eb565b90505b92915050565b60c48061070e83390190565b60006020828403121561060d57600080fd5b81356001600160a01b038116811461062457600080fd5b9392505050565b60006020828403121561063d57600080fd5b5035919050565b6000806040838503121561065757600080fd5b50508035926020909101359150565b634e487b7160e01b600052601160045260246000fd5b60006001820161068e5761068e610666565b5060010190565b818103818111156105e9576105e9610666565b80820281158282048414176105e9576105e9610666565b808201808211156105e9576105e9610666565b6000602082840312156106e457600080fd5b5051919050565b60008261070857634e487b7160e01b600052601260045260246000fd5b50049056fe60806040526007600055348015601457600080fd5b5060405160c438038060c4833981016040819052602f91603c565b801560375733ff5b506063565b600060208284031215604d57600080fd5b81518015158114605c57600080fd5b9392505050565b60548060706000396000f3fe6080604052348015600f57600080fd5b506004361060285760003560e01c8063acc3e84f14602d575b600080fd5b603560005481565b60405190815260200160405180910390f3fea164736f6c634300081e000aa164736f6c634300081e000a" as const;
