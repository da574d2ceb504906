/** The network's wallets: encrypted keystores made at the first start. */

import { existsSync } from "node:fs";
import { createKeystore, openKeystore } from "@hydrogen/chain/node";
import type { LocalAccount } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { type Layout, secretFile } from "./layout.ts";

/** The password has 192 random bits: stretching it further would only slow the start. */
const scryptN = 4096;

/** Opens the wallets of these names, making those that do not exist yet. */
export async function openWallets(
  layout: Layout,
  names: readonly string[],
): Promise<Map<string, LocalAccount>> {
  const password = secretFile(layout.password);
  const wallets = new Map<string, LocalAccount>();
  for (const name of names) {
    const path = layout.keystore(name);
    const { privateKey } = existsSync(path)
      ? await openKeystore(path, password)
      : await createKeystore(path, password, { scryptN });
    wallets.set(name, privateKeyToAccount(privateKey));
  }
  return wallets;
}
