/** What remains of a task: enough to check afterwards, against the chain, who did what and who was paid. */
import type { Hex } from "@hydrogen/std";
import * as read from "./decode.ts";
import { protocolError } from "./errors.ts";
import { type Address, roundsPerTask, TaskStatus, Verdict } from "./ids.ts";

export type ReceiptRound = {
  /** 0, 1 or 2. */
  round: number;
  node: Address;
  commitment: Hex | null;
  verdict: keyof typeof Verdict;
  /**
   * SD: 8 bytes of pHash per image. GPT: the 32-byte text digest. Null unless the node revealed a result; then the verdict
   * is "Result", or "Missed" if it was the result node and did not upload.
   */
  result: Hex | null;
  filesDigest: Hex | null;
  /** Null unless the verdict is "Error". */
  errorClass: number | null;
  /** From the reveal's call data; null where it is not known. With it the commitment can be checked. */
  salt: Hex | null;
  paymentWei: bigint;
  slashed: boolean;
};

export type ReceiptTransaction = {
  /** The contract function: "createTask", "submitTaskResultCommitment", … */
  name: string;
  hash: Hex;
  from: Address;
  gasUsed: bigint;
};

export type Receipt = {
  taskId: bigint;
  taskHash: Hex;
  taskType: number;
  chainId: number;
  addresses: { token: Address; node: Address; task: Address };
  creator: Address;
  feeWei: bigint;
  refundedWei: bigint;
  status: keyof typeof TaskStatus;
  /** Null unless the status is "Aborted". */
  abortReason: string | null;
  nodes: ReceiptRound[];
  /** What the chain agreed on; null without an agreement. */
  result: Hex | null;
  /** The first revealer of the agreeing pair. */
  resultNode: Address | null;
  /** Of the files that were uploaded: that of one of the agreeing nodes. */
  filesDigest: Hex | null;
  transactions: ReceiptTransaction[];
  gasTotal: bigint;
  /** Milliseconds per stage, as the application saw them. */
  stagesMs: Record<string, number>;
};

const address = read.hex(20);
const hash = read.hex(32);
const round = read.integer(0, roundsPerTask - 1);

const readReceipt: read.Reader<Receipt> = read.object<Receipt>({
  taskId: read.uint,
  taskHash: hash,
  taskType: read.integer(0, 255),
  chainId: read.integer(1, Number.MAX_SAFE_INTEGER),
  addresses: read.object({ token: address, node: address, task: address }),
  creator: address,
  feeWei: read.uint,
  refundedWei: read.uint,
  status: read.oneOf(Object.keys(TaskStatus) as (keyof typeof TaskStatus)[]),
  abortReason: read.nullable(read.text),
  nodes: read.list(
    read.object<ReceiptRound>({
      round,
      node: address,
      commitment: read.nullable(hash),
      verdict: read.oneOf(Object.keys(Verdict) as (keyof typeof Verdict)[]),
      result: read.nullable(read.hex()),
      filesDigest: read.nullable(hash),
      errorClass: read.nullable(read.integer(0, 255)),
      salt: read.nullable(hash),
      paymentWei: read.uint,
      slashed: (value, path) => {
        if (typeof value !== "boolean") throw new read.DecodeFault(path, "true or false");
        return value;
      },
    }),
  ),
  result: read.nullable(read.hex()),
  resultNode: read.nullable(address),
  filesDigest: read.nullable(hash),
  transactions: read.list(
    read.object<ReceiptTransaction>({ name: read.text, hash, from: address, gasUsed: read.uint }),
  ),
  gasTotal: read.uint,
  stagesMs: read.record(read.amount),
});

/** The receipt as JSON text; integers that may exceed 2^53 (ids, money, gas) are decimal strings. */
export function formatReceipt(receipt: Receipt, indent = 2): string {
  return JSON.stringify(
    receipt,
    (_, value) => (typeof value === "bigint" ? value.toString() : value),
    indent,
  );
}

/**
 * Reads what {@link formatReceipt} wrote. Members it does not know are dropped.
 * @throws RECEIPT_INVALID with the place of the first fault
 */
export function parseReceipt(json: string): Receipt {
  try {
    return readReceipt(JSON.parse(json), "");
  } catch (error) {
    const fault = error instanceof read.DecodeFault ? error.message : "not JSON";
    throw protocolError("RECEIPT_INVALID", { fault }, error);
  }
}
