// Slots and receipts at the host: what is taken, what is zeroed, what is told.

import { expect, test } from "vitest";
import { secretOf } from "../../../src/core/memory/secret.ts";
import { Malformed } from "../../../src/kq/codec.ts";
import { Arrivals } from "../../../src/kq/host/arrivals.ts";

const SLOT_BYTES = 8;

function arrivalsOf(slots: number, blockBytes = SLOT_BYTES) {
  const memory: Buffer[] = [];
  const take = () => {
    if (memory.length === slots) return undefined;
    const bytes = Buffer.alloc(SLOT_BYTES);
    memory.push(bytes);
    return secretOf(bytes);
  };
  const arrivals = new Arrivals(blockBytes, 9, { pool: { take }, repeated: () => {}, changed: () => {} });
  const piece = (sequence: number, offset: number, length: number) =>
    arrivals.fragment({ run: 1, sequence, offset, key: Buffer.alloc(length, 7) });
  return { arrivals, memory, piece };
}

test("half a block leaves nothing in its slot when the connection ends, and the slot is free again", () => {
  const { arrivals, memory, piece } = arrivalsOf(1);
  expect(arrivals.granted()).toBe(1);
  piece(0, 0, 5);
  expect(memory[0]?.[4]).toBe(7);
  arrivals.disconnected();
  expect(memory[0]).toEqual(Buffer.alloc(SLOT_BYTES));
  expect(arrivals.granted()).toBe(1);
});

type PieceOf = readonly [sequence: number, offset: number, length: number];
const WRONG: readonly (readonly [string, readonly PieceOf[], PieceOf])[] = [
  ["a piece without a beginning", [], [0, 4, 4]],
  ["a hole", [[0, 0, 2]], [0, 4, 4]],
  ["a piece of another block", [[0, 0, 4]], [1, 4, 4]],
  ["a piece behind the block's end", [[0, 0, 4]], [0, 4, 5]],
  ["an empty piece", [], [0, 0, 0]],
  [
    "a block without credit",
    [
      [0, 0, 8],
      [1, 0, 8],
    ],
    [2, 0, 8],
  ],
];

test.each(WRONG)("%s is refused", (_what, before, last) => {
  const { arrivals, piece } = arrivalsOf(2);
  arrivals.granted();
  for (const one of before) piece(...one);
  expect(() => piece(...last)).toThrow(Malformed);
});

test("receipts go out in runs, once, and again after a new connection unless they were confirmed", async () => {
  const { arrivals, piece } = arrivalsOf(9);
  arrivals.granted();
  for (const sequence of [0, 1, 2, 5]) piece(sequence, 0, 8);
  const blocks = arrivals.blocks()[Symbol.asyncIterator]();
  for (let count = 0; count < 4; count++) {
    const { value } = await blocks.next();
    value?.acknowledge();
    value?.key[Symbol.dispose]();
  }
  const ranges = arrivals.takeReceipts();
  expect(ranges).toEqual([
    { run: 1, first: 0, count: 3 },
    { run: 1, first: 5, count: 1 },
  ]);
  expect(arrivals.takeReceipts()).toEqual([]);
  arrivals.confirmed(ranges.slice(1));
  arrivals.disconnected();
  expect(arrivals.takeReceipts()).toEqual([{ run: 1, first: 0, count: 3 }]);
});

test("a block never leaves the part of a larger slot that is its own", async () => {
  const { arrivals, piece } = arrivalsOf(1, 4);
  arrivals.granted();
  piece(0, 0, 4);
  const { value } = await arrivals.blocks()[Symbol.asyncIterator]().next();
  expect(value?.key.length).toBe(4);
  expect(value?.key.lend((bytes: Uint8Array) => bytes.length)).toBe(4);
  value?.key[Symbol.dispose]();
});

test("a pool with slots that are too small is a defect", () => {
  const { arrivals } = arrivalsOf(1, 16);
  expect(() => arrivals.granted()).toThrow(RangeError);
});
