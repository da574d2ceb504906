export * from "./books.ts";
export * from "./devnet.ts";
export * from "./errors.ts";
export { devnetLayout, type NetworkFile, readApiKey, readNetwork } from "./layout.ts";
