/** Checks files against what the chain verified. The relay that served them is not trusted. */
import type { HydrogenEvent } from "@hydrogen/chain";
import { filesDigest, imagesResult, similar } from "@hydrogen/protocol";
import { bytesToHex, equalHex, hexToBytes } from "@hydrogen/std";
import { sdkError } from "./errors.ts";

/**
 * Accepts the files if they are, byte for byte, those that one of the agreeing nodes revealed.
 *
 * @param events all events of the task
 * @param files the images, in order
 * @returns the address of a node that made these files
 * @throws RESULT_NOT_VERIFIED
 */
export function verifyFiles(events: readonly HydrogenEvent[], files: readonly Uint8Array[]): `0x${string}` {
  const success = events.find((event) => event.name === "TaskSuccess");
  if (success === undefined)
    throw sdkError("RESULT_NOT_VERIFIED", { reason: "the chain has no agreed result" });
  const { taskId, result: agreed } = success.args;
  const digest = filesDigest(files);
  const maker = events
    .filter((event) => event.name === "TaskResultDisclosed")
    .find(
      ({ args }) =>
        equalHex(args.filesDigest, digest) && similar(hexToBytes(args.result), hexToBytes(agreed)),
    );
  if (maker === undefined)
    throw sdkError("RESULT_NOT_VERIFIED", {
      taskId,
      digest,
      reason: "no agreeing node revealed these files",
    });
  const result = bytesToHex(imagesResult(files));
  if (!equalHex(result, maker.args.result))
    throw sdkError("RESULT_NOT_VERIFIED", {
      taskId,
      result,
      revealed: maker.args.result,
      reason: "the pHashes differ",
    });
  return maker.args.node;
}
