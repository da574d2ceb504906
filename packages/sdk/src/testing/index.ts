/** For the tests of this and later packages; nothing here belongs into an application. */
export * from "./memory-relay.ts";
export * from "./pictures.ts";
export * from "./played-network.ts";
