/** Who signs: a key of ours, or a wallet that shows the user what is signed. */
import type { Hex } from "@hydrogen/std";
import type { BytesLike } from "./abi.ts";
import type { Address } from "./ids.ts";
import { addressOfPrivateKey, signDigest } from "./keys.ts";
import { type RequestTypedData, typedDataDigest } from "./request-signing.ts";

/**
 * Signs relay requests (EIP-712). A viem `LocalAccount` has this shape; for an injected wallet, pass
 * `(data) => walletClient.signTypedData({ account, ...data })`.
 */
export type Signer = {
  readonly address: Address;
  signTypedData(data: RequestTypedData): Promise<Hex>;
};

/** Signs bare digests, which the seeds' scheme needs and wallets refuse. */
export type DigestSigner = {
  readonly address: Address;
  /** @returns `0x` r s v with v ∈ {0, 1}. */
  signDigest(digest: Hex): Promise<Hex>;
};

/** @throws KEY_INVALID */
export function createKeySigner(privateKey: BytesLike): Signer & DigestSigner {
  const address = addressOfPrivateKey(privateKey);
  return {
    address,
    signTypedData: async (data) => signDigest(privateKey, typedDataDigest(data), 27),
    signDigest: async (digest) => signDigest(privateKey, digest, 0),
  };
}
