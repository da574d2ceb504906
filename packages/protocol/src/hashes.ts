/** The hashes of docs/protocol.md §1. All are keccak256, as on chain, and come as `0x` and 64 lower-case digits. */
import { bytesToHex, concatBytes, type Hex, utf8Encode } from "@hydrogen/std";
import { keccak_256 } from "@noble/hashes/sha3";
import { addressWord, type BytesLike, encodeBytesAndWord, toBytes, uintWord } from "./abi.ts";
import type { Address, ErrorClass } from "./ids.ts";

export function keccak256(bytes: BytesLike): Hex {
  return bytesToHex(keccak_256(toBytes(bytes)));
}

/** The hash of the task args' exact bytes; a string is taken as UTF-8. The text is never re-serialised. */
export function taskHash(taskArgs: string | Uint8Array): Hex {
  return keccak256(typeof taskArgs === "string" ? utf8Encode(taskArgs) : taskArgs);
}

/** keccak256(keccak256(file 0) ‖ keccak256(file 1) ‖ …) of the exact files, in order. */
export function filesDigest(files: readonly Uint8Array[]): Hex {
  return filesDigestOfHashes(files.map((file) => keccak256(file)));
}

/**
 * {@link filesDigest} for files that were hashed while they streamed by.
 * @throws HASH_INPUT_INVALID unless every hash has 32 bytes.
 */
export function filesDigestOfHashes(hashes: readonly BytesLike[]): Hex {
  return keccak256(concatBytes(...hashes.map((hash) => toBytes(hash, 32))));
}

/**
 * A keccak256 that is fed piece by piece.
 * @example const hash = createKeccak(); for await (const chunk of body) hash.update(chunk); hash.digest();
 */
export function createKeccak(): { update(chunk: Uint8Array): void; digest(): Hex } {
  const state = keccak_256.create();
  return { update: (chunk) => void state.update(chunk), digest: () => bytesToHex(state.digest()) };
}

/**
 * What a node commits to: keccak256(abi.encode(bytes result, bytes32 filesDigest)).
 * @throws HASH_INPUT_INVALID
 */
export function resultDigest(result: BytesLike, files: BytesLike): Hex {
  return keccak256(encodeBytesAndWord(toBytes(result), toBytes(files, 32)));
}

/** What a node that reports an error commits to: a result digest with an empty result and the class as the digest. */
export function errorDigest(errorClass: ErrorClass): Hex {
  return resultDigest(new Uint8Array(), uintWord(errorClass));
}

export type CommitmentInput = {
  taskId: bigint;
  /** 0, 1 or 2. */
  round: number | bigint;
  node: Address;
  /** From {@link resultDigest} or {@link errorDigest}. */
  resultDigest: BytesLike;
  /** 32 random bytes, new for every commitment, secret until the reveal. */
  salt: BytesLike;
};

/**
 * keccak256(abi.encode(uint256 taskId, uint256 round, address node, bytes32 resultDigest, bytes32 salt)).
 * @throws HASH_INPUT_INVALID
 */
export function commitment(input: CommitmentInput): Hex {
  return keccak256(
    concatBytes(
      uintWord(input.taskId),
      uintWord(input.round),
      addressWord(input.node),
      toBytes(input.resultDigest, 32),
      toBytes(input.salt, 32),
    ),
  );
}

/**
 * A GPU group: keccak256(abi.encodePacked(string gpuName, uint256 gpuVram)).
 * @param gpuName The device and the engine's fingerprint.
 * @param vramGb One of the contract's VRAM classes.
 */
export function gpuId(gpuName: string, vramGb: bigint | number): Hex {
  return keccak256(concatBytes(utf8Encode(gpuName), uintWord(vramGb)));
}
