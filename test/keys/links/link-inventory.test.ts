// The books of a link: whose blocks are whose, which own ones may be used whichever end hears of them first, which go first.

import { describe, expect, test } from "vitest";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { type BlockPosition, runsOf, sequencesOf } from "../../../src/keys/common/block-position.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import { LinkInventory, type LinkSettings, type StoredBlock } from "../../../src/keys/links/link-inventory.ts";

const LINK = linkId("ab");

function bookOf(self: string, more: Partial<LinkSettings> = {}): LinkInventory {
  const peer = kmId(self === "km-a" ? "km-b" : "km-a");
  const book = new LinkInventory(kmId(self), {
    id: LINK,
    peer,
    blockBytes: 4096,
    share: [1, 1],
    keepBlocks: 64,
    ...more,
  });
  book.agreement = "agreed";
  return book;
}

function enter(book: LinkInventory, sequence: number, run = 1): boolean {
  const block: StoredBlock = {
    link: LINK,
    run,
    sequence,
    own: book.owns(sequence),
    id: linkBlock(LINK, run, sequence),
  };
  const isShared = book.enter(block);
  book.highest = book.settled = { run, sequence };
  return isShared;
}

/** The peer tells that of the places `from` to `to` of a run it holds these. */
const told = (from: number, to: number, has: readonly number[], run = 1) => ({
  upTo: { run, sequence: to },
  covers: (position: BlockPosition) => position.run === run && position.sequence >= from && position.sequence <= to,
  holds: ({ sequence }: BlockPosition) => has.includes(sequence),
  held: (most: number) => has.slice(-most).map((sequence) => ({ run, sequence })),
});

const sequences = (blocks: Iterable<BlockPosition>): number[] => [...blocks].map(({ sequence }) => sequence);

describe("design 4: of every block exactly one end is the owner", () => {
  test.each([
    [[1, 1], 0.5],
    [[1, 3], 0.25],
    [[3, 1], 0.75],
    [[1, 0], 1],
  ] as const)("at a share of %o", (share, part) => {
    const [a, b] = [bookOf("km-a", { share }), bookOf("km-b", { share })];
    const owned = Array.from({ length: 1000 }, (_, sequence) => [a.owns(sequence), b.owns(sequence)]);
    expect(owned.every(([one, other]) => one !== other)).toBe(true);
    expect(owned.filter(([one]) => one).length).toBe(1000 * part);
    expect([a.ownShare, b.ownShare]).toEqual([part, 1 - part]);
  });

  test("even sequences are those of the KM whose ID sorts first", () => {
    expect([bookOf("km-a").owns(0), bookOf("km-a").owns(1), bookOf("km-b").owns(1)]).toEqual([true, false, true]);
  });
});

describe("own blocks", () => {
  test("that are here when the peer tells of them are usable, and those that it lacks are given back", () => {
    const book = bookOf("km-a");
    for (const sequence of [0, 1, 2, 3, 4]) expect(enter(book, sequence)).toBe(true);
    expect(book.usable).toBe(0);
    expect(sequences(book.hear(told(0, 3, [0])))).toEqual([2]);
    expect([book.usable, book.nextOwn()?.sequence]).toEqual([1, 0]);
  });

  test("that come after the peer told of them are usable at once, unless it lacks them", () => {
    const book = bookOf("km-a");
    expect(book.hear(told(0, 3, [0]))).toEqual([]);
    expect(book.hear(told(4, 5, [4]))).toEqual([]);
    expect([0, 1, 2, 4].map((sequence) => enter(book, sequence))).toEqual([true, true, false, true]);
    expect(book.usable).toBe(2);
  });

  test("beyond what the peer told wait to be told of", () => {
    const book = bookOf("km-a");
    book.hear(told(0, 3, [0, 2]));
    expect(enter(book, 4)).toBe(true);
    expect(book.usable).toBe(0);
    book.hear(told(4, 4, [4]));
    expect(book.usable).toBe(1);
  });

  test("of a run that is over at the peer are usable when they come late", () => {
    const book = bookOf("km-a");
    book.hear(told(0, Number.MAX_SAFE_INTEGER, [0, 2]));
    book.hear(told(0, 1, [0], 2));
    expect([enter(book, 0), enter(book, 2), enter(book, 0, 2)]).toEqual([true, true, true]);
    expect(book.usable).toBe(3);
  });

  test("are not usable by what an earlier connection told", () => {
    const book = bookOf("km-a");
    book.hear(told(0, 9, [0, 2, 4]));
    enter(book, 0);
    book.unconfirm();
    expect(enter(book, 2)).toBe(true);
    expect(book.usable).toBe(0);
  });

  test("are never usable while the two ends have not agreed", () => {
    const book = bookOf("km-a");
    enter(book, 0);
    book.hear(told(0, 0, [0]));
    book.agreement = "refused";
    expect([book.usable, book.nextOwn()]).toEqual([0, undefined]);
  });

  test("told far ahead of our module are remembered up to keep_blocks, the newest", () => {
    const book = bookOf("km-a", { keepBlocks: 10 });
    for (let at = 0; at < 200; at += 2) book.hear(told(at, at + 1, [at]));
    expect([enter(book, 0), enter(book, 178), enter(book, 198)]).toEqual([false, false, true]);
    expect(book.usable).toBe(1);
  });

  test("are used newest first, since the oldest may just be destroyed at the other end", () => {
    const book = bookOf("km-a", { keepBlocks: 10 });
    for (let at = 0; at < 200; at += 2) {
      enter(book, at);
      book.hear(told(at, at + 1, [at]));
      for (const { id } of book.overflow()) book.leave(id);
    }
    const used = Array.from({ length: book.usable }, () => {
      const next = book.nextOwn();
      if (next !== undefined) book.leave(next.id);
      return next?.sequence;
    });
    expect(used).toEqual([198, 196, 194, 192, 190, 188, 186, 184, 182, 180]);
    expect(book.nextOwn()).toBeUndefined();
  });

  test("whose use was not begun go back", () => {
    const book = bookOf("km-a");
    enter(book, 0);
    book.hear(told(0, 0, [0]));
    const next = book.nextOwn();
    if (next === undefined) throw new Error("one is usable");
    book.leave(next.id);
    expect([book.usable, book.stored]).toEqual([0, 0]);
    book.putBack(next);
    expect(book.nextOwn()).toBe(next);
  });
});

describe("places", () => {
  test("are new only after the highest, in run and sequence", () => {
    const book = bookOf("km-a");
    expect(book.isNew({ run: 0, sequence: 0 })).toBe(true);
    enter(book, 5, 2);
    expect([book.isNew({ run: 2, sequence: 5 }), book.isNew({ run: 1, sequence: 9 })]).toEqual([false, false]);
    expect([book.isNew({ run: 2, sequence: 6 }), book.isNew({ run: 3, sequence: 0 })]).toEqual([true, true]);
  });

  test("are told by run, ascending", () => {
    const places = [
      { run: 2, sequence: 3 },
      { run: 1, sequence: 9 },
      { run: 2, sequence: 1 },
    ];
    expect([runsOf(places), sequencesOf(places, 2)]).toEqual([
      [1, 2],
      [1, 3],
    ]);
  });
});

describe("beyond keep_blocks", () => {
  test("the oldest own blocks go, and of the copies those beyond a quarter more", () => {
    const book = bookOf("km-a", { keepBlocks: 3, share: [1, 1] });
    for (let sequence = 0; sequence < 12; sequence++) enter(book, sequence);
    expect(sequences(book.overflow())).toEqual([0, 2, 4, 1, 3]);
    expect(bookOf("km-a").overflow()).toEqual([]);
  });

  test("design 4: what one end may still use as pad, the other end still has", () => {
    const owner = bookOf("km-a", { keepBlocks: 10 });
    const other = bookOf("km-b", { keepBlocks: 10 });
    for (let sequence = 0; sequence < 100; sequence++) {
      for (const book of [owner, other]) {
        enter(book, sequence);
        for (const { id } of book.overflow()) book.leave(id);
      }
      for (const block of owner.own()) expect(other.find(block)).toBeDefined();
    }
    expect([[...owner.own()].length, [...other.copies()].length]).toEqual([10, 13]);
  });
});

test("pads are taken of the oldest block that both ends have, in whatever order they were confirmed or given back", () => {
  const book = bookOf("km-a", { share: [1, 0] });
  for (let sequence = 0; sequence < 8; sequence++) enter(book, sequence);
  book.hear(told(4, 7, [4, 5, 6, 7]));
  expect(book.nextPad()?.sequence).toBe(4);
  book.hear(told(0, 3, [1, 2, 3]));
  expect(book.nextPad()?.sequence).toBe(1);
  const oldest = book.nextPad();
  if (oldest === undefined) throw new Error("a block was confirmed");
  book.lend(oldest);
  expect(book.nextPad()?.sequence).toBe(2);
  book.putBack(oldest);
  expect(book.nextPad()?.sequence).toBe(1);
  book.pads.raise({ run: 1, sequence: 5, offset: 4096 });
  expect(book.nextPad()?.sequence).toBe(6);
  book.unconfirm();
  expect(book.nextPad()).toBeUndefined();
});
