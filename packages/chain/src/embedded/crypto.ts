/** secp256k1 in WebAssembly: recovering senders in pure JavaScript would cost more than executing the transactions. */
import type { CustomCrypto } from "@ethereumjs/common";
import { concatBytes, setLengthLeft } from "@ethereumjs/util";
import { type RecoveryIdType, recover } from "tiny-secp256k1";

export const nativeCrypto: CustomCrypto = { ecrecover };

function ecrecover(
  messageHash: Uint8Array,
  v: bigint,
  r: Uint8Array,
  s: Uint8Array,
  chainId?: bigint,
): Uint8Array {
  const signature = concatBytes(setLengthLeft(r, 32), setLengthLeft(s, 32));
  const publicKey = recover(messageHash, signature, recoveryId(v, chainId), false);
  if (publicKey === null) throw new RangeError("the signature has no public key");
  return publicKey.subarray(1);
}

/** `v` is 0 or 1 in typed transactions, 27 or 28 in old ones, and 35 + 2 · chain id + parity since EIP-155. */
function recoveryId(v: bigint, chainId: bigint | undefined): RecoveryIdType {
  if (v === 0n || v === 1n) return v === 0n ? 0 : 1;
  const parity = chainId === undefined ? v - 27n : v - (chainId * 2n + 35n);
  if (parity !== 0n && parity !== 1n) throw new RangeError("invalid signature v");
  return parity === 0n ? 0 : 1;
}
