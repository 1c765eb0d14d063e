// The pads of a link as their receiver has them: named once, in order, off the disk when nobody needs them.

import { describe, expect, test } from "vitest";
import { asFault } from "../../../src/core/fault.ts";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import { LinkInventory } from "../../../src/keys/links/link-inventory.ts";
import type { LinkRange } from "../../../src/keys/ports/peers.ts";
import { ModelMachine } from "../../support/model-vault.ts";

const LINK = linkId("ab");
const BYTES = 100;

/** The book of km-b, to which the even blocks are copies. */
function bookWith(...sequences: number[]): LinkInventory {
  const settings = { id: LINK, peer: kmId("km-a"), blockBytes: BYTES, share: [1, 1] as const, keepBlocks: 64 };
  const book = new LinkInventory(kmId("km-b"), settings);
  for (const sequence of sequences) {
    book.enter({ link: LINK, run: 1, sequence, own: book.owns(sequence), id: linkBlock(LINK, 1, sequence) });
  }
  return book;
}

const pad = (sequence: number, offset: number, length: number): LinkRange => ({
  link: LINK,
  run: 1,
  sequence,
  offset,
  length,
});

function take(book: LinkInventory, ...pads: LinkRange[]) {
  return book.padCopies.take(book.padCopies.check(pads));
}

function refusal(book: LinkInventory, ...pads: LinkRange[]): string {
  try {
    book.padCopies.check(pads);
    return "none";
  } catch (thrown) {
    return asFault(thrown).code;
  }
}

const copiesOf = (book: LinkInventory): number[] => [...book.copies()].map(({ sequence }) => sequence);

describe("key-protocol 2: pads that are named", () => {
  test.each([
    ["below the mark", [pad(2, 39, 10)], "BLOCK_USED"],
    ["in a block before the mark", [pad(0, 0, 10)], "BLOCK_USED"],
    ["of our own blocks", [pad(3, 0, 10)], "BLOCK_NOT_YOURS"],
    ["of a block that never came", [pad(8, 0, 10)], "BLOCK_NOT_HELD"],
    ["beyond the end of a block", [pad(4, 95, 6)], "MALFORMED_REQUEST"],
    ["before its begin", [pad(4, -1, 6)], "MALFORMED_REQUEST"],
    ["of no length", [pad(4, 0, 0)], "MALFORMED_REQUEST"],
    ["in another order", [pad(6, 0, 10), pad(4, 0, 10)], "BLOCK_USED"],
    ["that overlap", [pad(4, 0, 10), pad(4, 9, 10)], "BLOCK_USED"],
  ])("%s are refused, and nothing has changed", (_what, pads, code) => {
    const book = bookWith(0, 1, 2, 3, 4, 6);
    take(book, pad(2, 0, 40));
    expect([refusal(book, ...pads), book.padCopies.mark]).toEqual([code, { run: 1, sequence: 2, offset: 40 }]);
    expect(refusal(book, pad(2, 40, 60), pad(4, 0, 5))).toBe("none");
  });

  test("leave those that were passed over, for they may be named as KMA-keys", () => {
    const book = bookWith(0, 2, 4, 6);
    take(book, pad(4, 0, 100));
    expect(copiesOf(book)).toEqual([0, 2, 6]);
  });

  test("end the rest of a block that they passed over, and say how long it was", () => {
    const book = bookWith(0, 2, 4);
    take(book, pad(0, 0, 40));
    expect(book.padCopies.isBegun({ run: 1, sequence: 0 })).toBe(true);
    expect(take(book, pad(2, 0, 10)).skipped).toBe(60);
    expect(take(book, pad(2, 30, 70), pad(4, 0, 10)).skipped).toBe(20);
    expect(copiesOf(book)).toEqual([4]);
  });
});

describe("blocks that are used up", () => {
  test("stay on the disk until the last offer that needs them is dealt with; their rows go at once", async () => {
    const book = bookWith(0, 2);
    const machine = new ModelMachine(8, () => {});
    const vault = machine.boot();
    const first = take(book, pad(0, 0, 40));
    const second = take(book, pad(0, 40, 60), pad(2, 0, 10));
    for (const sequence of [0, 2]) machine.records.set(`block\n${linkBlock(LINK, 1, sequence)}`, new Uint8Array(BYTES));
    for (const sequence of [0, 2]) machine.rows.set(`block\n${linkBlock(LINK, 1, sequence)}`, {});
    expect([0, 2].map((sequence) => book.padCopies.isInUse(linkBlock(LINK, 1, sequence)))).toEqual([true, true]);
    const end = async (taken: typeof first) => {
      const change = vault.change();
      book.padCopies.end(taken, change);
      await change.commit();
      return [machine.rows.has("block\nlink:ab:1:0"), machine.records.has("block\nlink:ab:1:0")];
    };
    expect(await end(second)).toEqual([false, true]);
    expect(await end(first)).toEqual([false, false]);
    expect(machine.rows.has("block\nlink:ab:1:2")).toBe(true);
  });

  test("are told as used only as far as no offer needs them any more", () => {
    const book = bookWith(0);
    const [block] = book.copies();
    if (block === undefined) throw new Error("no copy");
    const first = take(book, pad(0, 0, 40));
    take(book, pad(0, 40, 20));
    expect(book.padCopies.usedOf(block)).toEqual([]);
    book.padCopies.end(first, new ModelMachine(8, () => {}).boot().change());
    expect(book.padCopies.usedOf(block)).toEqual([{ offset: 0, length: 40 }]);
  });
});

test("key-protocol 5: the mark is raised to what the sender has used, and never goes back", () => {
  const book = bookWith(0, 2, 4);
  take(book, pad(0, 0, 40));
  expect(book.padCopies.raise({ run: 1, sequence: 0, offset: 70 })).toBe(30);
  expect(book.padCopies.raise({ run: 1, sequence: 2, offset: 100 })).toBe(30);
  expect(copiesOf(book)).toEqual([4]);
  expect(book.padCopies.raise({ run: 1, sequence: 0, offset: 0 })).toBe(0);
  expect(book.padCopies.mark).toEqual({ run: 1, sequence: 2, offset: 100 });
});
