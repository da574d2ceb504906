import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createKeystore } from "@hydrogen/chain/node";
import { openWallet } from "./wallet.ts";

test("the environment's password comes before the file's, whose last line feed does not count", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-wallet-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const [path, passwordFile] = [join(dir, "wallet.json"), join(dir, "password")];
  const { address } = await createKeystore(path, " secret ", { scryptN: 1024 });
  const keystore = { path, passwordFile, passwordEnv: "P" };
  writeFileSync(passwordFile, " secret \r\n");
  assert.equal((await openWallet(keystore, {})).address, address);
  await assert.rejects(openWallet(keystore, { P: "wrong" }), { code: "KEYSTORE_PASSWORD_WRONG" });
  writeFileSync(passwordFile, "wrong");
  assert.equal((await openWallet(keystore, { P: " secret " })).address, address);
  rmSync(passwordFile);
  await assert.rejects(openWallet(keystore, {}), { code: "BRIDGE_PASSWORD_MISSING" });
  await assert.rejects(openWallet({ path, passwordEnv: "P" }, {}), { code: "BRIDGE_PASSWORD_MISSING" });
});
