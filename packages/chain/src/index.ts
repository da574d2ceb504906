/** What a browser may import as well; SQLite, files and the embedded chain are in "./node" and "./embedded". */
export * from "./abi.ts";
export * from "./address-book.ts";
export * from "./calls.ts";
export * from "./chain.ts";
export * from "./cursor.ts";
export { chainError } from "./errors.ts";
export * from "./events.ts";
export * from "./follower.ts";
export type { Log } from "./log.ts";
export { type Attempt, memoryOutbox, type Outbox, type OutboxRecord, type OutboxStore } from "./outbox.ts";
export * from "./receipt.ts";
export { isRevert } from "./revert.ts";
export { connectRpc, type EvmRpc, type Head, type RpcDeps, type RpcOptions } from "./rpc.ts";
export * from "./sender.ts";
