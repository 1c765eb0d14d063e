// The module's shelf: blocks are kept until they are durable and no piece may have to be sent again, then they are zero.

import { expect, test } from "vitest";
import { Shelf } from "../../../src/kq/module/shelf.ts";

const block = (sequence: number) => ({ run: 1, sequence, key: Buffer.alloc(8, 7) });
const durable = (sequence: number) => [{ run: 1, first: sequence, count: 1 }];

test("a block is zero only when it is durable and its pieces have arrived", () => {
  const shelf = new Shelf(4, 4);
  const held = block(0);
  shelf.offer(held);
  const pieces = [shelf.next(1), shelf.next(1)];
  expect(pieces.map((piece) => piece?.values.offset)).toEqual([0, 4]);
  shelf.durable(durable(0));
  pieces[0]?.arrived();
  expect(held.key).toEqual(Buffer.alloc(8, 7));
  pieces[1]?.arrived();
  expect(held.key).toEqual(Buffer.alloc(8));
  expect(shelf.size).toBe(0);
});

test("a block that becomes durable before it was begun is not sent; one that was begun is sent to its end", () => {
  const shelf = new Shelf(4, 4);
  for (const sequence of [0, 1, 2]) shelf.offer(block(sequence));
  const begun = shelf.next(9);
  shelf.durable([{ run: 1, first: 0, count: 2 }]);
  const rest = [shelf.next(9), shelf.next(9)];
  expect([begun, ...rest].map((piece) => [piece?.values.sequence, piece?.values.offset])).toEqual([
    [0, 0],
    [0, 4],
    [2, 0],
  ]);
});

test("blocks of another run with the same sequence stay", () => {
  const shelf = new Shelf(4, 4);
  shelf.offer(block(0));
  shelf.durable([{ run: 2, first: 0, count: 1 }]);
  expect(shelf.size).toBe(1);
});

test("credit counts blocks from the connection's beginning; a new connection begins with the oldest", () => {
  const shelf = new Shelf(4, 8);
  for (const sequence of [0, 1]) shelf.offer(block(sequence));
  expect(shelf.next(1)?.values.sequence).toBe(0);
  expect(shelf.next(1)).toBeUndefined();
  expect(shelf.next(2)?.values.sequence).toBe(1);
  shelf.rewind();
  expect(shelf.next(1)?.values.sequence).toBe(0);
});

test("a full shelf drops the newest, zeroed and counted", () => {
  const shelf = new Shelf(1, 8);
  const late = block(1);
  expect([shelf.offer(block(0)), shelf.offer(late)]).toEqual([true, false]);
  expect([shelf.size, shelf.dropped]).toEqual([1, 1]);
  expect(late.key).toEqual(Buffer.alloc(8));
});
