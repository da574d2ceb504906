import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { type AddressBook, formatAddressBook, parseAddressBook } from "./address-book.ts";

const book: AddressBook = {
  chainId: 31337,
  token: "0x5FbDB2315678afecb367f032d93F642f64180aa3",
  node: "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
  task: "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0",
  deployedBlock: 3n,
};

describe("address book", () => {
  it("reads back what it wrote, as text and as parsed JSON", () => {
    const text = formatAddressBook(book);
    assert.deepEqual(parseAddressBook(text), book);
    assert.deepEqual(parseAddressBook(JSON.parse(text)), book);
  });

  it("accepts lower-case addresses and checksums them", () => {
    assert.equal(parseAddressBook({ ...book, token: book.token.toLowerCase() }).token, book.token);
  });

  it("names the wrong field", () => {
    const wrong: [Record<string, unknown>, string | undefined][] = [
      [{ token: "0x5FbDB2315678afecb367f032d93F642f64180aA3" }, "token"], // checksum
      [{ node: "0x12" }, "node"],
      [{ task: `0x${"0".repeat(40)}` }, "task"],
      [{ chainId: "31337" }, "chainId"],
      [{ deployedBlock: -1 }, "deployedBlock"],
      [{ deployedBlock: 1.5 }, "deployedBlock"],
      [{ task: book.node }, undefined],
    ];
    for (const [change, field] of wrong) {
      assert.throws(
        () => parseAddressBook({ ...book, ...change }),
        (error) => isHydrogenError(error, "ADDRESS_BOOK_INVALID") && error.facts.field === field,
        JSON.stringify(change),
      );
    }
    for (const text of ["", "[]", "null", "{}"])
      assert.throws(
        () => parseAddressBook(text),
        (error) => isHydrogenError(error, "ADDRESS_BOOK_INVALID"),
      );
  });
});
