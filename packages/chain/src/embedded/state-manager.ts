/**
 * The EVM's way to state: changes are held in memory over a view, with an undo list for the EVM's checkpoints.
 * Whoever executes a block takes the changes out and writes them; whoever only calls throws them away.
 */
import type { AccountFields, StateManagerInterface } from "@ethereumjs/common";
import { OriginalStorageCache } from "@ethereumjs/statemanager";
import { Account, type Address, KECCAK256_NULL } from "@ethereumjs/util";
import { keccak256 } from "viem";
import { hexKey } from "./format.ts";
import type { AccountRecord, StateChanges, StateView } from "./state-store.ts";

const empty = new Uint8Array(0);
const noCodeKey = hexKey(KECCAK256_NULL);
const addressKeyOf = (address: Address): string => hexKey(address.bytes);

export class OverlayState implements StateManagerInterface {
  readonly originalStorageCache = new OriginalStorageCache((address, key) => this.getStorage(address, key));
  #view: StateView;
  #accounts = new Map<string, AccountRecord | undefined>();
  #slots = new Map<string, Map<string, Uint8Array>>();
  #codes = new Map<string, Uint8Array>();
  #undo: (() => void)[] = [];
  #checkpoints: number[] = [];

  constructor(view: StateView) {
    this.#view = view;
  }

  /** Forgets every change and goes on over `view`. */
  reset(view: StateView): void {
    this.#view = view;
    this.#accounts = new Map();
    this.#slots = new Map();
    this.#codes = new Map();
    this.#undo = [];
    this.#checkpoints = [];
    this.originalStorageCache.clear();
  }

  changes(): StateChanges {
    return { accounts: this.#accounts, slots: this.#slots, codes: this.#codes };
  }

  async getAccount(address: Address): Promise<Account | undefined> {
    const record = this.#record(addressKeyOf(address));
    if (record === undefined) return undefined;
    return new Account(record.nonce, record.balanceWei, undefined, record.codeHash);
  }

  async putAccount(address: Address, account?: Account): Promise<void> {
    this.#setRecord(
      addressKeyOf(address),
      account === undefined
        ? undefined
        : { nonce: account.nonce, balanceWei: account.balance, codeHash: account.codeHash },
    );
  }

  async deleteAccount(address: Address): Promise<void> {
    this.#setRecord(addressKeyOf(address), undefined);
    await this.clearStorage(address);
  }

  async modifyAccountFields(address: Address, fields: AccountFields): Promise<void> {
    const addressKey = addressKeyOf(address);
    const record = this.#record(addressKey);
    this.#setRecord(addressKey, {
      nonce: fields.nonce ?? record?.nonce ?? 0n,
      balanceWei: fields.balance ?? record?.balanceWei ?? 0n,
      codeHash: fields.codeHash ?? record?.codeHash ?? KECCAK256_NULL,
    });
  }

  async putCode(address: Address, code: Uint8Array): Promise<void> {
    const codeHash = keccak256(code, "bytes");
    if (code.length > 0) this.#codes.set(hexKey(codeHash), code);
    await this.modifyAccountFields(address, { codeHash });
  }

  async getCode(address: Address): Promise<Uint8Array> {
    const record = this.#record(addressKeyOf(address));
    if (record === undefined) return empty;
    const codeKey = hexKey(record.codeHash);
    if (codeKey === noCodeKey) return empty;
    return this.#codes.get(codeKey) ?? this.#view.code(codeKey);
  }

  async getCodeSize(address: Address): Promise<number> {
    return (await this.getCode(address)).length;
  }

  async getStorage(address: Address, key: Uint8Array): Promise<Uint8Array> {
    const addressKey = addressKeyOf(address);
    const slotKey = hexKey(key);
    return this.#slots.get(addressKey)?.get(slotKey) ?? this.#view.slot(addressKey, slotKey);
  }

  async putStorage(address: Address, key: Uint8Array, value: Uint8Array): Promise<void> {
    const addressKey = addressKeyOf(address);
    const slotKey = hexKey(key);
    let slots = this.#slots.get(addressKey);
    if (slots === undefined) {
      slots = new Map();
      this.#slots.set(addressKey, slots);
    }
    this.#setSlot(slots, slotKey, value);
  }

  /**
   * Called for an account that is being created or was destroyed. Since EIP-6780 such an account was created in the same
   * transaction, so whatever storage it has was written in this block.
   */
  async clearStorage(address: Address): Promise<void> {
    const slots = this.#slots.get(addressKeyOf(address));
    for (const slotKey of slots?.keys() ?? []) this.#setSlot(slots!, slotKey, empty);
  }

  async checkpoint(): Promise<void> {
    this.#checkpoints.push(this.#undo.length);
  }

  async commit(): Promise<void> {
    this.#checkpoints.pop();
    if (this.#checkpoints.length === 0) this.#undo.length = 0;
  }

  async revert(): Promise<void> {
    const mark = this.#checkpoints.pop() ?? 0;
    while (this.#undo.length > mark) this.#undo.pop()!();
  }

  clearCaches(): void {}

  async getStateRoot(): Promise<Uint8Array> {
    throw new TypeError("this state has no trie");
  }

  async setStateRoot(): Promise<void> {
    throw new TypeError("this state has no trie");
  }

  async hasStateRoot(): Promise<boolean> {
    return false;
  }

  shallowCopy(): OverlayState {
    return new OverlayState(this.#view);
  }

  #record(addressKey: string): AccountRecord | undefined {
    if (this.#accounts.has(addressKey)) return this.#accounts.get(addressKey);
    return this.#view.account(addressKey);
  }

  #setRecord(addressKey: string, record: AccountRecord | undefined): void {
    const accounts = this.#accounts;
    const had = accounts.has(addressKey);
    const before = accounts.get(addressKey);
    this.#undo.push(() => {
      if (had) accounts.set(addressKey, before);
      else accounts.delete(addressKey);
    });
    accounts.set(addressKey, record);
  }

  #setSlot(slots: Map<string, Uint8Array>, slotKey: string, value: Uint8Array): void {
    const before = slots.get(slotKey);
    this.#undo.push(() => {
      if (before === undefined) slots.delete(slotKey);
      else slots.set(slotKey, before);
    });
    slots.set(slotKey, value);
  }
}
