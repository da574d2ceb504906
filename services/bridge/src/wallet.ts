/** The bridge's key: it lies encrypted on disk, and its password comes from the environment or from a file. */
import { readFile } from "node:fs/promises";
import { type KeystoreKey, openKeystore } from "@hydrogen/chain/node";
import type { BridgeConfig } from "./config.ts";
import { bridgeError } from "./errors.ts";

/** @throws BRIDGE_PASSWORD_MISSING, KEYSTORE_NOT_FOUND, KEYSTORE_INVALID, KEYSTORE_PASSWORD_WRONG */
export async function openWallet(
  keystore: BridgeConfig["keystore"],
  environment: NodeJS.ProcessEnv,
): Promise<KeystoreKey> {
  return openKeystore(keystore.path, await passwordOf(keystore, environment));
}

async function passwordOf(
  { passwordEnv, passwordFile }: BridgeConfig["keystore"],
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const fromEnvironment = passwordEnv === undefined ? undefined : environment[passwordEnv];
  if (fromEnvironment !== undefined) return fromEnvironment;
  if (passwordFile === undefined) throw bridgeError("BRIDGE_PASSWORD_MISSING", { passwordEnv });
  const text = await readFile(passwordFile, "utf8").catch((cause) => {
    throw bridgeError("BRIDGE_PASSWORD_MISSING", { passwordFile }, cause);
  });
  // Editors and `echo` end a file with a line feed that is no part of the password.
  return text.replace(/\r?\n$/, "");
}
