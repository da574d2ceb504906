export { parseRelayConfig, type RelayConfig, type RelayConfigInput, relayConfigSchema } from "./config.ts";
export { relayError } from "./errors.ts";
export { type Relay, type RelayDeps, startRelay } from "./relay.ts";
