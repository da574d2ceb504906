/**
 * A private key in a file, encrypted with a password: Web3 Secret Storage version 3 (scrypt, AES-128-CTR, keccak-256),
 * as geth, MetaMask and others read and write it.
 * Format: https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/
 */
import {
  createCipheriv,
  createDecipheriv,
  pbkdf2,
  randomBytes,
  randomUUID,
  type ScryptOptions,
  scrypt,
  timingSafeEqual,
} from "node:crypto";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { bytesToHex, concatBytes, equalHex, hexToBytes, utf8Encode } from "@hydrogen/std";
import { scryptAsync } from "@noble/hashes/scrypt";
import { type Address, type Hex, keccak256 } from "viem";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";
import { chainError } from "./errors.ts";

export type KeystoreKey = { readonly address: Address; readonly privateKey: Hex };

export type KeystoreOptions = {
  /** Cost of guessing a password: CPU and memory double with it. A power of two; default 2¹⁷ (about 0.5 s, 128 MiB). */
  scryptN?: number | undefined;
};

const derivedKeyBytes = 32;
const defaultScryptN = 131_072;
const scryptR = 8;
const maxScryptBytes = 1 << 30;

/**
 * Creates the file with a new random key, or with the given one. Never overwrites; readable by its owner only.
 *
 * @throws KEYSTORE_EXISTS, PRIVATE_KEY_INVALID
 */
export async function createKeystore(
  path: string,
  password: string,
  options: KeystoreOptions & { privateKey?: Hex | undefined } = {},
): Promise<KeystoreKey> {
  const key = toKey(options.privateKey ?? generatePrivateKey());
  await writeKeystore(path, await encryptKey(key, password, options), false);
  return key;
}

/** @throws KEYSTORE_NOT_FOUND, KEYSTORE_INVALID, KEYSTORE_PASSWORD_WRONG */
export async function openKeystore(path: string, password: string): Promise<KeystoreKey> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isNodeError(error, "ENOENT")) throw chainError("KEYSTORE_NOT_FOUND", { path }, error);
    throw error;
  }
  return decryptKey(text, password);
}

/** The old file stays whole until the new one is. @throws as `openKeystore` */
export async function changeKeystorePassword(
  path: string,
  passwords: { old: string; new: string },
  options: KeystoreOptions = {},
): Promise<void> {
  const key = await openKeystore(path, passwords.old);
  await writeKeystore(path, await encryptKey(key, passwords.new, options), true);
}

/** The keystore's JSON text. */
export async function encryptKey(
  key: KeystoreKey,
  password: string,
  options: KeystoreOptions = {},
): Promise<string> {
  const n = options.scryptN ?? defaultScryptN;
  const [salt, iv] = [randomBytes(32), randomBytes(16)];
  const derived = await deriveScrypt(password, salt, { n, r: scryptR, p: 1, dklen: derivedKeyBytes });
  const cipher = createCipheriv("aes-128-ctr", derived.subarray(0, 16), iv);
  const ciphertext = concatBytes(cipher.update(hexToBytes(key.privateKey)), cipher.final());
  return JSON.stringify({
    version: 3,
    id: randomUUID(),
    address: key.address.slice(2).toLowerCase(),
    crypto: {
      cipher: "aes-128-ctr",
      cipherparams: { iv: plainHex(iv) },
      ciphertext: plainHex(ciphertext),
      kdf: "scrypt",
      kdfparams: { dklen: derivedKeyBytes, n, p: 1, r: scryptR, salt: plainHex(salt) },
      mac: mac(derived, ciphertext).slice(2),
    },
  });
}

/** Reads any version 3 keystore, scrypt or PBKDF2. @throws KEYSTORE_INVALID, KEYSTORE_PASSWORD_WRONG */
export async function decryptKey(json: string, password: string): Promise<KeystoreKey> {
  const store = parseKeystore(json);
  const derived =
    store.kdf === "scrypt"
      ? await deriveScrypt(password, store.salt, store)
      : await promisify(pbkdf2)(utf8Encode(password), store.salt, store.c, store.dklen, "sha256");
  const expected = hexToBytes(mac(derived, store.ciphertext));
  if (!timingSafeEqual(expected, store.mac)) throw chainError("KEYSTORE_PASSWORD_WRONG");
  const decipher = createDecipheriv("aes-128-ctr", derived.subarray(0, 16), store.iv);
  const key = toKey(bytesToHex(concatBytes(decipher.update(store.ciphertext), decipher.final())));
  if (store.address !== undefined && !equalHex(`0x${store.address}`, key.address))
    throw invalid("the address is not that of the key");
  return key;
}

type Keystore = {
  iv: Uint8Array;
  ciphertext: Uint8Array;
  mac: Uint8Array;
  salt: Uint8Array;
  dklen: number;
} & {
  address: string | undefined;
} & ({ kdf: "scrypt"; n: number; r: number; p: number } | { kdf: "pbkdf2"; c: number });

function parseKeystore(json: string): Keystore {
  const file = asObject(parseJson(json), "file");
  if (file.version !== 3) throw invalid("version is not 3");
  const crypto = asObject(file.crypto ?? file.Crypto, "crypto");
  if (crypto.cipher !== "aes-128-ctr") throw invalid("unknown cipher");
  const params = asObject(crypto.kdfparams, "kdfparams");
  const common = {
    iv: bytesOf(asObject(crypto.cipherparams, "cipherparams").iv, "iv", 16),
    ciphertext: bytesOf(crypto.ciphertext, "ciphertext", 32),
    mac: bytesOf(crypto.mac, "mac", 32),
    salt: bytesOf(params.salt, "salt"),
    dklen: count(params.dklen, "dklen"),
    address: typeof file.address === "string" ? file.address.replace(/^0x/, "") : undefined,
  };
  if (common.dklen < 32) throw invalid("dklen is below 32");
  if (crypto.kdf === "pbkdf2") {
    if (params.prf !== "hmac-sha256") throw invalid("unknown prf");
    return { ...common, kdf: "pbkdf2", c: count(params.c, "c") };
  }
  if (crypto.kdf !== "scrypt") throw invalid("unknown kdf");
  const [n, r, p] = [count(params.n, "n"), count(params.r, "r"), count(params.p, "p")];
  if (128 * n * r > maxScryptBytes) throw invalid("scrypt would need more than 1 GiB");
  return { ...common, kdf: "scrypt", n, r, p };
}

async function deriveScrypt(
  password: string,
  salt: Uint8Array,
  { n, r, p, dklen }: { n: number; r: number; p: number; dklen: number },
): Promise<Uint8Array> {
  const maxmem = 128 * r * (n + p) + (1 << 20);
  try {
    // OpenSSL refuses n ≥ 2^16r, which RFC 7914 forbids, but the format's own test vector has.
    if (n >= 2 ** (16 * r))
      return await scryptAsync(utf8Encode(password), salt, { N: n, r, p, dkLen: dklen, maxmem });
    const derive = promisify<string, Uint8Array, number, ScryptOptions, Uint8Array>(scrypt);
    return await derive(password, salt, dklen, { N: n, r, p, maxmem });
  } catch (error) {
    throw invalid("scrypt parameters", error);
  }
}

function mac(derived: Uint8Array, ciphertext: Uint8Array): Hex {
  return keccak256(concatBytes(derived.subarray(16, 32), ciphertext));
}

function toKey(privateKey: Hex): KeystoreKey {
  try {
    return { privateKey, address: privateKeyToAddress(privateKey) };
  } catch (error) {
    throw chainError("PRIVATE_KEY_INVALID", {}, error);
  }
}

/** Written beside its place, flushed, then put there in one step. */
async function writeKeystore(path: string, json: string, replace: boolean): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${json}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    if (replace) await rename(temporary, path);
    else await link(temporary, path); // unlike rename it refuses to overwrite
  } catch (error) {
    if (isNodeError(error, "EEXIST")) throw chainError("KEYSTORE_EXISTS", { path }, error);
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

function isNodeError(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function invalid(reason: string, cause?: unknown) {
  return chainError("KEYSTORE_INVALID", { reason }, cause);
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw invalid("not JSON", error);
  }
}

function asObject(value: unknown, field: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw invalid(`${field} is missing`);
}

function bytesOf(value: unknown, field: string, length?: number): Uint8Array {
  if (typeof value !== "string" || !/^(?:[0-9a-fA-F]{2})+$/.test(value))
    throw invalid(`${field} is not hexadecimal`);
  const bytes = hexToBytes(`0x${value}`);
  if (length !== undefined && bytes.length !== length)
    throw invalid(`${field} does not have ${length} bytes`);
  return bytes;
}

function count(value: unknown, field: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  throw invalid(`${field} is not a positive number`);
}

function plainHex(bytes: Uint8Array): string {
  return bytesToHex(bytes).slice(2);
}
