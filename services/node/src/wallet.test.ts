import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createKeystore } from "@hydrogen/chain/node";
import { openWallet } from "./wallet.ts";

test("takes the keystore's password from the environment or from a file, with or without a line feed", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-wallet-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "key.json");
  const passwordFile = join(dir, "password");
  const { address } = await createKeystore(path, " secret ", { scryptN: 1024 });
  assert.equal((await openWallet({ path, passwordEnv: "PW" }, { PW: " secret " })).address, address);
  for (const text of [" secret ", " secret \n", " secret \r\n"]) {
    writeFileSync(passwordFile, text);
    assert.equal((await openWallet({ path, passwordFile }, {})).address, address);
  }
  writeFileSync(passwordFile, "secret");
  await assert.rejects(openWallet({ path, passwordFile }, {}), { code: "KEYSTORE_PASSWORD_WRONG" });
  await assert.rejects(openWallet({ path, passwordFile: join(dir, "nothing") }, {}), {
    code: "NODE_PASSWORD_MISSING",
  });
  await assert.rejects(openWallet({ path }, {}), { code: "NODE_PASSWORD_MISSING" });
});
