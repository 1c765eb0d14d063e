// The supply ring: one write per batch, zero afterwards, batches nest.

import { expect, test } from "vitest";
import { type Sink, SupplyRing } from "../../src/wire/ring.ts";

const SIZE = 0x2_0000;

function sinkOf(): Sink & { readonly written: string[] } {
  const written: string[] = [];
  return { written, write: (bytes) => written.push(Buffer.from(bytes).toString()) };
}

function write(ring: SupplyRing, text: string): void {
  ring.advance(ring.end + Buffer.from(text).copy(ring.memory, ring.end));
}

test("answers of a batch leave in one write, and the memory is zero afterwards", () => {
  const ring = new SupplyRing(new Uint8Array(SIZE));
  const sink = sinkOf();
  const start = ring.begin();
  write(ring, "one ");
  write(ring, "two");
  ring.flush(start, sink);
  expect(sink.written).toEqual(["one two"]);
  expect(ring.memory.every((byte) => byte === 0)).toBe(true);
  ring.flush(ring.begin(), sink);
  expect(sink.written).toHaveLength(1);
});

test("a batch that begins within another leaves the outer one alone", () => {
  const ring = new SupplyRing(new Uint8Array(SIZE));
  const [outerSink, innerSink] = [sinkOf(), sinkOf()];
  const outer = ring.begin();
  write(ring, "outer ");
  const inner = ring.begin();
  write(ring, "inner");
  ring.flush(inner, innerSink);
  write(ring, "goes on");
  ring.flush(outer, outerSink);
  expect([innerSink.written, outerSink.written]).toEqual([["inner"], ["outer goes on"]]);
  expect(ring.memory.every((byte) => byte === 0)).toBe(true);
});

test("the memory is zero also when the write throws", () => {
  const ring = new SupplyRing(new Uint8Array(SIZE));
  const start = ring.begin();
  write(ring, "secret");
  const broken: Sink = {
    write() {
      throw new Error("closed");
    },
  };
  expect(() => ring.flush(start, broken)).toThrow("closed");
  expect(ring.memory.every((byte) => byte === 0)).toBe(true);
  expect(ring.end).toBe(0);
});

test("the ring is bounded: it says what fits, and refuses to advance past its end", () => {
  const ring = new SupplyRing(new Uint8Array(SIZE));
  expect([ring.fits(SIZE), ring.fits(SIZE + 1)]).toEqual([true, false]);
  ring.advance(SIZE - 1);
  expect([ring.fits(1), ring.fits(2)]).toEqual([true, false]);
  expect(() => ring.advance(SIZE + 1)).toThrow(RangeError);
  expect(() => ring.advance(0)).toThrow(RangeError);
});

test("a ring is a power of two and holds the longest frame", () => {
  expect(() => new SupplyRing(new Uint8Array(SIZE + 1))).toThrow(RangeError);
  expect(() => new SupplyRing(new Uint8Array(0x1_0000))).toThrow(RangeError);
});
