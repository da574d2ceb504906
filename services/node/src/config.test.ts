import assert from "node:assert/strict";
import { test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { parseNodeConfig } from "./config.ts";

const address = `0x${"11".repeat(20)}`;
const minimal = {
  dataDir: "data",
  rpcUrl: "http://127.0.0.1:8545",
  addresses: { chainId: 1337, token: address, node: address, task: address },
  relayUrl: "http://127.0.0.1:7500",
  keystore: { path: "keys/node.json", passwordFile: "keys/password" },
  gpuName: "CPU",
  vramGb: 8,
  modelsDirs: ["models", "/srv/models"],
};

test("fills in defaults and makes paths absolute", () => {
  const config = parseNodeConfig(minimal, "/etc/hydrogen");
  assert.equal(config.dataDir, "/etc/hydrogen/data");
  assert.equal(config.keystore.path, "/etc/hydrogen/keys/node.json");
  assert.equal(config.keystore.passwordFile, "/etc/hydrogen/keys/password");
  assert.deepEqual(config.modelsDirs, ["/etc/hydrogen/models", "/srv/models"]);
  assert.deepEqual(config.api, { host: "127.0.0.1", port: 7412 });
  assert.equal(config.withdrawThresholdWei, 100n * 10n ** 18n);
  assert.equal(config.devnetBehaviour, undefined);
});

test("names the wrong setting", () => {
  const wrong = { ...minimal, addresses: { ...minimal.addresses, task: "0x12" } };
  assert.throws(() => parseNodeConfig(wrong, "/"), {
    code: "NODE_CONFIG_INVALID",
    facts: { setting: "addresses.task", problem: "not an address" },
  });
});

test("names a setting that does not exist, which is mostly a slip of the pen", () => {
  for (const [wrong, setting] of [
    [{ ...minimal, relayURL: minimal.relayUrl }, "relayURL"],
    [{ ...minimal, api: { prot: 1 } }, "api.prot"],
    [{ ...minimal, engine: { thread: 1 } }, "engine.thread"],
    [{ ...minimal, keystore: { ...minimal.keystore, password: "x" } }, "keystore.password"],
    [{ ...minimal, addresses: { ...minimal.addresses, tokn: address } }, "addresses.tokn"],
  ] as const)
    assert.throws(
      () => parseNodeConfig(wrong, "/"),
      (error) => isHydrogenError(error, "NODE_CONFIG_INVALID") && error.facts.setting === setting,
      setting,
    );
});
