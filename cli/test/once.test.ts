import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { connectChain, parseAddressBook } from "@hydrogen/chain";
import { type Books, readBooks, readNetwork } from "@hydrogen/devnet";
import { imagePhash, parseReceipt, pngSize, verifyReceipt } from "@hydrogen/protocol";
import { bytesToHex } from "@hydrogen/std";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

type Run = { code: number | null; stdout: string; stderr: string };

/** Runs the command as a user would, to its end. */
function hydrogen(
  args: readonly string[],
  options: { onStderr?: (text: string, interrupt: () => void) => void } = {},
): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [main, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    // What Ctrl-C in a terminal does: the signal goes to the whole process group, and wrappers pass it on besides.
    const interrupt = () => {
      process.kill(-child.pid!, "SIGINT");
      child.kill("SIGINT");
    };
    const run: Run = { code: null, stdout: "", stderr: "" };
    child.stdout.on("data", (data) => (run.stdout += data));
    child.stderr.on("data", (data) => {
      run.stderr += data;
      options.onStderr?.(run.stderr, interrupt);
    });
    child.on("close", (code) => resolve({ ...run, code }));
  });
}

/** The books of the network that runs in this directory. */
async function booksOf(dataDir: string): Promise<Books> {
  const { rpcUrl, addresses } = readNetwork(dataDir);
  const chain = await connectChain({ rpcUrl, addresses: parseAddressBook(addresses) });
  try {
    return await readBooks(chain);
  } finally {
    chain.close();
  }
}

function temporaryDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "hydrogen-cli-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("up --once makes a verified image, prints its receipt, and ends; up again takes the network up and ends cleanly on Ctrl-C", async (t) => {
  const dir = temporaryDir(t);
  const data = join(dir, "network");
  const out = join(dir, "apple.png");
  const first = await hydrogen([
    "up",
    "--once",
    "--prompt",
    "a red apple",
    "--seed",
    "7",
    "--out",
    out,
    "--data",
    data,
    "--any-port",
  ]);
  assert.equal(first.code, 0, first.stderr);
  const receipt = parseReceipt(first.stdout);
  const png = new Uint8Array(readFileSync(out));
  assert.deepEqual(verifyReceipt(receipt, { files: [png] }), []);
  assert.equal(receipt.taskId, 1n);
  assert.equal(receipt.status, "Done");
  assert.equal(receipt.result, bytesToHex(imagePhash(png)));
  assert.ok(pngSize(png).width >= 64);
  assert.equal(new Set(receipt.nodes.map(({ node }) => node)).size, 3);
  assert.ok(receipt.nodes.every(({ paymentWei, commitment }) => paymentWei > 0n && commitment !== null));
  assert.ok(receipt.gasTotal > 0n && (receipt.stagesMs.executing ?? 0) > 0);

  let image: Promise<Run> | undefined;
  let doctor: Promise<Run> | undefined;
  let books: Promise<Books> | undefined;
  const again = await hydrogen(["up", "--no-image", "--data", data], {
    onStderr: (text, interrupt) => {
      if (!text.includes("Ctrl-C") || image !== undefined) return;
      image = hydrogen([
        "image",
        "a red apple",
        "--seed",
        "7",
        "--out",
        join(dir, "again.png"),
        "--data",
        data,
      ]);
      doctor = hydrogen(["doctor", "--data", data]);
      books = Promise.all([image, doctor]).then(() => booksOf(data));
      books.finally(interrupt).catch(() => undefined);
    },
  });
  assert.equal((await image)?.code, 0, (await image)?.stderr);
  assert.deepEqual(
    new Uint8Array(readFileSync(join(dir, "again.png"))),
    png,
    "the same seed gives the same image",
  );
  assert.equal((await doctor)?.code, 0, (await doctor)?.stdout);
  assert.match((await doctor)!.stdout, /bridge on http/);
  assert.equal(again.code, 0, again.stderr);
  const { supplyWei, heldWei, vaultWei, owedWei } = (await books)!;
  assert.equal(heldWei, supplyWei, "all CNX is accounted for");
  assert.equal(vaultWei, owedWei, "nothing is left in escrow");
  const nodeLog = readFileSync(join(data, "logs", "node-0.log"), "utf8");
  assert.match(
    nodeLog.trim().split("\n").at(-1)!,
    /SIGTERM/,
    "the parts are ended in order, not by the terminal",
  );
});

test("whatever is not a verified image ends with a coded error and a failing exit code", async (t) => {
  const dir = temporaryDir(t);
  const noNetwork = await hydrogen(["image", "a cat", "--data", join(dir, "none")]);
  assert.equal(noNetwork.code, 1);
  assert.match(noNetwork.stderr, /^DEVNET_NO_NETWORK: /);
  const badOption = await hydrogen(["image", "a cat", "--steps", "0"]);
  assert.equal(badOption.code, 1);
  assert.match(badOption.stderr, /from 1 to 100/);
  const unwritable = await hydrogen([
    "up",
    "--once",
    "--out",
    "/dev/null/apple.png",
    "--data",
    join(dir, "network"),
    "--any-port",
  ]);
  const directory = await hydrogen(["up", "--once", "--out", dir, "--data", join(dir, "network")]);
  assert.equal(directory.code, 1);
  assert.match(directory.stderr, /^CLI_OUTPUT_UNWRITABLE/);
  assert.equal(unwritable.code, 1);
  assert.match(unwritable.stderr, /CLI_OUTPUT_UNWRITABLE/);
});

test("explains itself", async () => {
  const { code, stdout } = await hydrogen(["--help"]);
  assert.equal(code, 0);
  for (const command of ["up", "image", "doctor", "relay", "node", "bridge"])
    assert.match(stdout, new RegExp(`^  ${command}\\b`, "m"));
});
