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
    inputs: [],
    name: "failInside",
    outputs: [],
    stateMutability: "payable",
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
  {
    inputs: [],
    name: "writeAndFail",
    outputs: [],
    stateMutability: "payable",
    type: "function",
  },
] as const;

export const probeBytecode =
  "0x6080604052610981806100136000396000f3fe6080604052600436106100fe5760003560e01c8063827272cd11610095578063a0b225f311610064578063a0b225f314610278578063b4b3649e1461028d578063bfb231d214610295578063c0fe1af814610322578063f88e9fbf1461037d57600080fd5b8063827272cd146101ee578063911c37ae146101f657806391ddadf41461022e57806395ec51291461025857600080fd5b80634b5c733c116100d15780634b5c733c14610185578063654cf88c1461019a5780637c92e12e146101ba5780637e551b75146101cf57600080fd5b806306661abd1461010357806327e235e31461012c5780633cc064cc1461015957806344df8e7014610170575b600080fd5b34801561010f57600080fd5b5061011960005481565b6040519081526020015b60405180910390f35b34801561013857600080fd5b5061011961014736600461079e565b60026020526000908152604090205481565b34801561016557600080fd5b5061016e61039d565b005b34801561017c57600080fd5b5061016e6103d4565b34801561019157600080fd5b5061016e6103fe565b3480156101a657600080fd5b506101196101b53660046107ce565b61046f565b3480156101c657600080fd5b50610119610585565b3480156101db57600080fd5b506101196101ea3660046107ce565b4090565b61016e6105f0565b34801561020257600080fd5b506102166102113660046107ce565b610655565b6040516001600160a01b039091168152602001610123565b34801561023a57600080fd5b50604080514381524260208201524491810191909152606001610123565b34801561026457600080fd5b5061016e6102733660046107ce565b610695565b34801561028457600080fd5b506101196106c1565b61016e610718565b3480156102a157600080fd5b506102ee6102b03660046107ce565b600160208190526000918252604090912080549181015460028201546003909201546001600160a01b039093169290919067ffffffffffffffff1684565b604080516001600160a01b03909516855260208501939093529183015267ffffffffffffffff166060820152608001610123565b34801561032e57600080fd5b5061016e61033d3660046107ce565b6000908152600160208190526040822080546001600160a01b03191681559081018290556002810191909155600301805467ffffffffffffffff19169055565b34801561038957600080fd5b506101196103983660046107e7565b61077d565b60405162461bcd60e51b81526020600482015260076024820152666265636175736560c81b60448201526064015b60405180910390fd5b60015b600081815260016020819052604090912001819055806103f68161081f565b9150506103d7565b610409600143610838565b600080526001602081905290407fa6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb4b556104429043610838565b6000805260016020527fa6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb4a55565b6000806000815461047f9061081f565b91829055506040805160808101909152338152909150602081016104a483600361084b565b815260208082018590524267ffffffffffffffff90811660409384015260008581526001808452848220865181546001600160a01b0319166001600160a01b039091161781558685015181830155868601516002808301919091556060909701516003909101805467ffffffffffffffff191691909416179092553381529390915290822080549192909161053a908490610862565b9091555082905033827fbe9ac9534044b3c81aec6dbd425ffd60e674713a7ade0b25dc4270aba323db9461056f82600361084b565b60405190815260200160405180910390a4919050565b6000306001600160a01b031663a0b225f36040518163ffffffff1660e01b81526004016020604051808303816000875af11580156105c7573d6000803e3d6000fd5b505050506040513d601f19601f820116820180604052508101906105eb9190610875565b905090565b60008081546105fe9061081f565b91905081905550306001600160a01b031663b4b3649e346040518263ffffffff1660e01b81526004016000604051808303818588803b15801561064057600080fd5b505af193505050508015610652575060015b50565b600081600160405161066690610792565b90151581526020018190604051809103906000f590508015801561068e573d6000803e3d6000fd5b5092915050565b600a8110156106525760405163e94fe3af60e01b815260048101829052600a60248201526044016103cb565b6000621e84805a116107005760405162461bcd60e51b81526020600482015260086024820152676d6f72652067617360c01b60448201526064016103cb565b600080815461070e9061081f565b9182905550919050565b6103e7600081815560018082526020527fcc69885fda6bcc1a4ace058b4a62bf5e179ea78fd58a1ccd71c22cc9b68879309190915560405161075990610792565b9015158152602001604051809103906000f0801580156100fe573d6000803e3d6000fd5b6000610789828461088e565b90505b92915050565b60c4806108b183390190565b6000602082840312156107b057600080fd5b81356001600160a01b03811681146107c757600080fd5b9392505050565b6000602082840312156107e057600080fd5b5035919050565b600080604083850312156107fa57600080fd5b50508035926020909101359150565b634e487b7160e01b600052601160045260246000fd5b60006001820161083157610831610809565b5060010190565b8181038181111561078c5761078c610809565b808202811582820484141761078c5761078c610809565b8082018082111561078c5761078c610809565b60006020828403121561088757600080fd5b5051919050565b6000826108ab57634e487b7160e01b600052601260045260246000fd5b50049056fe60806040526007600055348015601457600080fd5b5060405160c438038060c4833981016040819052602f91603c565b801560375733ff5b506063565b600060208284031215604d57600080fd5b81518015158114605c57600080fd5b9392505050565b60548060706000396000f3fe6080604052348015600f57600080fd5b506004361060285760003560e01c8063acc3e84f14602d575b600080fd5b603560005481565b60405190815260200160405180910390f3fea164736f6c634300081e000aa164736f6c634300081e000a" as const;
