import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { changeKeystorePassword, createKeystore, decryptKey, openKeystore } from "./keystore.ts";

// The two test vectors of the Web3 Secret Storage definition.
const vectorKey = "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const vectorAddress = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";
const scryptVector = {
  crypto: {
    cipher: "aes-128-ctr",
    cipherparams: { iv: "83dbcc02d8ccb40e466191a123791e0e" },
    ciphertext: "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
    kdf: "scrypt",
    kdfparams: {
      dklen: 32,
      n: 262144,
      p: 8,
      r: 1,
      salt: "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
    },
    mac: "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
  },
  id: "3198bc9c-6672-5ab3-d995-4942343ae5b6",
  version: 3,
};
const pbkdf2Vector = {
  crypto: {
    cipher: "aes-128-ctr",
    cipherparams: { iv: "6087dab2f9fdbbfaddc31a909735c1e6" },
    ciphertext: "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    kdf: "pbkdf2",
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: "hmac-sha256",
      salt: "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
    },
    mac: "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
  },
  id: "3198bc9c-6672-5ab3-d995-4942343ae5b6",
  version: 3,
};

const cheap = { scryptN: 1024 };

describe("keystore", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "keystore-"));
  });
  after(() => rm(folder, { recursive: true }));

  const failsWith = (code: string) => (error: unknown) => isHydrogenError(error, code);

  it("opens the official scrypt and pbkdf2 vectors", async () => {
    const expected = { privateKey: vectorKey, address: vectorAddress };
    assert.deepEqual(await decryptKey(JSON.stringify(scryptVector), "testpassword"), expected);
    assert.deepEqual(await decryptKey(JSON.stringify(pbkdf2Vector), "testpassword"), expected);
  });

  it("creates a random key that only the password opens, in a file for its owner alone", async () => {
    const path = join(folder, "new", "key.json");
    const created = await createKeystore(path, "correct horse", cheap);
    assert.deepEqual(await openKeystore(path, "correct horse"), created);
    await assert.rejects(openKeystore(path, "battery staple"), failsWith("KEYSTORE_PASSWORD_WRONG"));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.ok(!(await readFile(path, "utf8")).includes(created.privateKey.slice(2)));
    const other = await createKeystore(join(folder, "other.json"), "correct horse", cheap);
    assert.notEqual(other.privateKey, created.privateKey);
  });

  it("imports a key and never overwrites a keystore", async () => {
    const path = join(folder, "imported.json");
    assert.equal(
      (await createKeystore(path, "a", { ...cheap, privateKey: vectorKey })).address,
      vectorAddress,
    );
    await assert.rejects(createKeystore(path, "b", cheap), failsWith("KEYSTORE_EXISTS"));
    assert.equal((await openKeystore(path, "a")).privateKey, vectorKey);
    await assert.rejects(
      createKeystore(join(folder, "zero.json"), "a", { ...cheap, privateKey: `0x${"0".repeat(64)}` }),
      failsWith("PRIVATE_KEY_INVALID"),
    );
  });

  it("changes the password and leaves nothing lying about", async () => {
    const path = join(folder, "change", "key.json");
    const { privateKey } = await createKeystore(path, "old", cheap);
    await assert.rejects(
      changeKeystorePassword(path, { old: "wrong", new: "new" }, cheap),
      failsWith("KEYSTORE_PASSWORD_WRONG"),
    );
    await changeKeystorePassword(path, { old: "old", new: "new" }, cheap);
    await assert.rejects(openKeystore(path, "old"), failsWith("KEYSTORE_PASSWORD_WRONG"));
    assert.equal((await openKeystore(path, "new")).privateKey, privateKey);
    assert.deepEqual(await readdir(join(folder, "change")), ["key.json"]);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it("says what is wrong with a file that is no keystore", async () => {
    await assert.rejects(openKeystore(join(folder, "absent.json"), ""), failsWith("KEYSTORE_NOT_FOUND"));
    const damaged = [
      "not json",
      "null",
      JSON.stringify({ ...scryptVector, version: 1 }),
      JSON.stringify({ ...scryptVector, crypto: { ...scryptVector.crypto, mac: "00" } }),
      JSON.stringify({
        ...scryptVector,
        crypto: { ...scryptVector.crypto, kdfparams: { ...scryptVector.crypto.kdfparams, n: 2 ** 40 } },
      }),
      JSON.stringify({
        ...scryptVector,
        crypto: { ...scryptVector.crypto, kdfparams: { ...scryptVector.crypto.kdfparams, n: 1000 } },
      }),
      JSON.stringify({ ...scryptVector, address: "00".repeat(20) }),
    ];
    for (const text of damaged) {
      const path = join(folder, "damaged.json");
      await writeFile(path, text);
      await assert.rejects(openKeystore(path, "testpassword"), failsWith("KEYSTORE_INVALID"), text);
    }
  });
});
