// The pads of a link as their sender takes them: in order, each byte once, over any sizes.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linkId } from "../../../src/core/ids.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import type { StoredBlock } from "../../../src/keys/links/link-inventory.ts";
import { PadStream } from "../../../src/keys/links/own-pads.ts";

const LINK = linkId("ab");
const BYTES = 100;

const block = (sequence: number, run = 1): StoredBlock => ({
  link: LINK,
  run,
  sequence,
  own: true,
  id: linkBlock(LINK, run, sequence),
});

function streamOf(...sequences: number[]): PadStream {
  const stream = new PadStream(BYTES);
  for (const sequence of sequences) stream.grant(block(sequence));
  return stream;
}

/** Takes so many bytes; where they lay. */
function taken(stream: PadStream, bytes: number): (readonly [sequence: number, offset: number, length: number])[] {
  const segments = stream.next(bytes) ?? [];
  if (segments.length > 0) stream.take(segments);
  return segments.map(({ block: { sequence }, offset, length }) => [sequence, offset, length]);
}

describe("pads", () => {
  test("begin and end inside blocks and span several", () => {
    const stream = streamOf(0, 2, 4, 6);
    expect(taken(stream, 130)).toEqual([
      [0, 0, 100],
      [2, 0, 30],
    ]);
    expect(taken(stream, 200)).toEqual([
      [2, 30, 70],
      [4, 0, 100],
      [6, 0, 30],
    ]);
    expect([stream.bytes, stream.mark]).toEqual([70, { run: 1, sequence: 6, offset: 30 }]);
  });

  test("are untouched until they are taken, and there are none when there are too few", () => {
    const stream = streamOf(0);
    expect(stream.next(101)).toBeUndefined();
    expect(stream.next(60)).toEqual(stream.next(60));
    expect([stream.bytes, stream.mark]).toEqual([100, undefined]);
  });

  test("are not taken twice: who comes late is told", () => {
    const stream = streamOf(0, 2);
    const segments = stream.next(60) ?? [];
    stream.take(segments);
    expect(() => stream.take(segments)).toThrow("not the next bytes");
    expect(stream.isNext(segments)).toBe(false);
  });

  test("tell which blocks are used up", () => {
    const stream = streamOf(0, 2, 4);
    const used = (bytes: number) => stream.take(stream.next(bytes) ?? []).map(({ sequence }) => sequence);
    expect([used(40), used(60), used(150)]).toEqual([[], [0], [2]]);
    expect(stream.begun).toMatchObject({ offset: 50, length: 50 });
  });

  test("of any lengths cover each byte of the blocks once, in order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 350 }), { maxLength: 30 }), (lengths) => {
        const stream = streamOf(...Array.from({ length: 20 }, (_, index) => index * 2));
        let reached = 0;
        for (const length of lengths) {
          for (const [sequence, offset, bytes] of taken(stream, length)) {
            expect((sequence / 2) * BYTES + offset).toBe(reached);
            reached += bytes;
          }
        }
        expect(stream.bytes).toBe(20 * BYTES - reached);
      }),
    );
  });
});

describe("blocks", () => {
  test("become pads in order only", () => {
    const stream = streamOf(4);
    expect([2, 4, 6].map((sequence) => stream.isAhead(block(sequence)))).toEqual([false, false, true]);
    expect(stream.isAhead(block(0, 2))).toBe(true);
    taken(stream, 100);
    expect([4, 6].map((sequence) => stream.isAhead(block(sequence)))).toEqual([false, true]);
  });

  test("of which nothing is used go back; the one that is begun stays a pad", () => {
    const stream = streamOf(0, 2, 4);
    taken(stream, 10);
    expect(stream.giveBack().map(({ sequence }) => sequence)).toEqual([2, 4]);
    expect(stream.bytes).toBe(90);
    stream.dropBegun();
    expect([stream.bytes, stream.begun]).toEqual([0, undefined]);
    expect([0, 2].map((sequence) => stream.isAhead(block(sequence)))).toEqual([false, true]);
  });

  test("go on after a start in the middle of the one that was begun", () => {
    const stream = new PadStream(BYTES);
    stream.raise({ run: 1, sequence: 2, offset: 40 });
    expect([stream.isBegun(block(2)), stream.isBegun(block(4))]).toEqual([true, false]);
    stream.grant(block(2));
    stream.grant(block(4));
    expect(taken(stream, 70)).toEqual([
      [2, 40, 60],
      [4, 0, 10],
    ]);
  });

  test("that cannot be read are dropped with what is left of them", () => {
    const stream = streamOf(0, 2, 4);
    taken(stream, 10);
    const lost = stream.next(100) ?? [];
    expect(stream.drop(lost)).toBe(190);
    expect(stream.drop(lost)).toBe(0);
    expect(taken(stream, 20)).toEqual([[4, 0, 20]]);
  });
});
