import { SimpleStateManager } from "@ethereumjs/statemanager";
import { Account, type Address, bytesToHex } from "@ethereumjs/util";
import { keccak256 } from "viem";

const nothing = new Uint8Array(0);

/** State in memory with an undo log: a checkpoint costs nothing, however large the state is. */
export class JournaledState extends SimpleStateManager {
  private readonly accounts = new Map<string, Account | undefined>();
  private readonly codes = new Map<string, Uint8Array>();
  private readonly slots = new Map<string, Uint8Array>();
  private readonly undo: (() => void)[] = [];
  private readonly marks: number[] = [];

  private write<V>(map: Map<string, V>, key: string, value: V): void {
    if (this.marks.length > 0) {
      const had = map.has(key);
      const old = map.get(key) as V;
      this.undo.push(() => (had ? map.set(key, old) : map.delete(key)));
    }
    map.set(key, value);
  }

  override checkpointSync(): void {
    this.marks?.push(this.undo.length);
  }

  override async checkpoint(): Promise<void> {
    this.marks.push(this.undo.length);
  }

  override async commit(): Promise<void> {
    this.marks.pop();
    if (this.marks.length === 0) this.undo.length = 0;
  }

  override async revert(): Promise<void> {
    const mark = this.marks.pop() ?? 0;
    while (this.undo.length > mark) this.undo.pop()?.();
  }

  override async getAccount(address: Address): Promise<Account | undefined> {
    const account = this.accounts.get(address.toString());
    return account === undefined
      ? undefined
      : new Account(account.nonce, account.balance, account.storageRoot, account.codeHash);
  }

  override async putAccount(address: Address, account?: Account): Promise<void> {
    this.write(this.accounts, address.toString(), account);
  }

  override async deleteAccount(address: Address): Promise<void> {
    this.write(this.accounts, address.toString(), undefined);
  }

  override async getCode(address: Address): Promise<Uint8Array> {
    return this.codes.get(address.toString()) ?? nothing;
  }

  override async putCode(address: Address, code: Uint8Array): Promise<void> {
    this.write(this.codes, address.toString(), code);
    const account = (await this.getAccount(address)) ?? new Account();
    account.codeHash = keccak256(code, "bytes");
    await this.putAccount(address, account);
  }

  override async getCodeSize(address: Address): Promise<number> {
    return (await this.getCode(address)).length;
  }

  override async getStorage(address: Address, key: Uint8Array): Promise<Uint8Array> {
    return this.slots.get(address.toString() + bytesToHex(key)) ?? nothing;
  }

  override async putStorage(address: Address, key: Uint8Array, value: Uint8Array): Promise<void> {
    this.write(this.slots, address.toString() + bytesToHex(key), value);
  }

  /** Only a contract that is being created has its storage cleared, and it has none. */
  override async clearStorage(): Promise<void> {}
}
