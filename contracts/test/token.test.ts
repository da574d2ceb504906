import assert from "node:assert/strict";
import { test } from "node:test";
import { hashTypedData, parseEther, parseSignature } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { crynuxTokenAbi, crynuxTokenBytecode } from "../index.ts";
import { createEvm } from "./support/evm.ts";
import { account, createNetwork, gpu, nodeStatus, refused, stakeWei } from "./support/network.ts";

const capWei = parseEther("8617333262");
const owner = account("owner");

async function createToken() {
  const evm = await createEvm();
  const token = await evm.deploy(owner, { abi: crynuxTokenAbi, bytecode: crynuxTokenBytecode }, [owner]);
  return { evm, token };
}

test("a fifth of the cap exists at genesis", async () => {
  const { evm, token } = await createToken();
  assert.equal(await evm.call(token, "name", []), "Crynux");
  assert.equal(await evm.call(token, "symbol", []), "CNX");
  assert.equal(await evm.call(token, "decimals", []), 18);
  assert.equal(await evm.call(token, "CAP_WEI", []), capWei);
  assert.equal(await evm.call(token, "totalSupply", []), capWei / 5n);
  assert.equal(await evm.call(token, "balanceOf", [owner]), capWei / 5n);
});

test("only the minter mints, up to the cap, and it is named once", async () => {
  const { evm, token } = await createToken();
  const minter = account("emission");
  await refused(evm.send(owner, token, "mint", [owner, 1n]), "NotMinter");
  await refused(evm.send(minter, token, "setMinter", [minter]), "OwnableUnauthorizedAccount");
  await refused(evm.send(owner, token, "setMinter", [`0x${"00".repeat(20)}`]), "ZeroMinter");
  await evm.send(owner, token, "setMinter", [minter]);
  await refused(evm.send(owner, token, "setMinter", [owner]), "MinterAlreadySet");
  await evm.send(minter, token, "mint", [owner, capWei - capWei / 5n]);
  assert.equal(await evm.call(token, "totalSupply", []), capWei);
  await refused(evm.send(minter, token, "mint", [owner, 1n]), "CapExceeded");
});

test("a node joins with a permit in one transaction, and a permit that was front-run does no harm", async () => {
  for (const frontRun of [false, true]) {
    const net = await createNetwork({ nodes: 0 });
    const signer = privateKeyToAccount(`0x${"11".repeat(32)}`);
    await net.evm.send(net.owner, net.token, "transfer", [signer.address, stakeWei]);
    net.known.add(signer.address);
    const [, name, version, chainId, verifyingContract] = await net.evm.call(net.token, "eip712Domain", []);
    const deadline = net.evm.timeSec + 60n;
    const signature = parseSignature(
      await signer.sign({
        hash: hashTypedData({
          domain: { name, version, chainId: Number(chainId), verifyingContract },
          types: {
            Permit: [
              { name: "owner", type: "address" },
              { name: "spender", type: "address" },
              { name: "value", type: "uint256" },
              { name: "nonce", type: "uint256" },
              { name: "deadline", type: "uint256" },
            ],
          },
          primaryType: "Permit",
          message: { owner: signer.address, spender: net.node.address, value: stakeWei, nonce: 0n, deadline },
        }),
      }),
    );
    const v = signature.yParity + 27;
    await refused(
      net.send(signer.address, net.node, "joinWithPermit", [
        gpu.name,
        gpu.vram,
        deadline + 1n,
        v,
        signature.r,
        signature.s,
      ]),
      "ERC20InsufficientAllowance",
    );
    if (frontRun) {
      await net.evm.send(net.owner, net.token, "permit", [
        signer.address,
        net.node.address,
        stakeWei,
        deadline,
        v,
        signature.r,
        signature.s,
      ]);
    }
    await net.send(signer.address, net.node, "joinWithPermit", [
      gpu.name,
      gpu.vram,
      deadline,
      v,
      signature.r,
      signature.s,
    ]);
    assert.equal((await net.info(signer.address)).status, nodeStatus.available);
  }
});
