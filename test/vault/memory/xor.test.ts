// Tests of XOR by words and of the search for zero words, at every alignment.

import fc from "fast-check";
import { expect, test } from "vitest";
import { hasZeroWord, xorInto } from "../../../src/vault/memory/xor.ts";

/** A copy that begins at `shift` of its buffer. */
function shifted(bytes: Uint8Array, shift: number): Uint8Array {
  const copy = new Uint8Array(bytes.length + shift + 8).fill(0xee).subarray(shift, shift + bytes.length);
  copy.set(bytes);
  return copy;
}

test("XOR is the same at every alignment and length, and touches nothing beside", () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 70 });
  const shift = fc.nat({ max: 7 });
  fc.assert(
    fc.property(bytes, bytes, shift, shift, (one, other, toShift, fromShift) => {
      const length = Math.min(one.length, other.length);
      const target = shifted(one.subarray(0, length), toShift);
      const source = shifted(other.subarray(0, length), fromShift);
      xorInto(target, source);
      expect([...target]).toEqual([...target].map((_, at) => (one[at] ?? 0) ^ (other[at] ?? 0)));
      expect([...source]).toEqual([...other.subarray(0, length)]);
      const whole = new Uint8Array(target.buffer);
      expect([...whole].filter((byte, at) => (at < toShift || at >= toShift + length) && byte !== 0xee)).toEqual([]);
    }),
  );
});

test("XOR of different lengths is refused before anything changes", () => {
  const target = new Uint8Array([1, 2, 3]);
  expect(() => xorInto(target, new Uint8Array(4))).toThrow(RangeError);
  expect([...target]).toEqual([1, 2, 3]);
});

test("a zero word is found at every place, and nothing less counts as one", () => {
  for (let at = 0; at < 64; at += 8) {
    const bytes = new Uint8Array(64).fill(1);
    expect(hasZeroWord(bytes)).toBe(false);
    bytes.fill(0, at, at + 8);
    expect(hasZeroWord(bytes)).toBe(true);
    for (let byte = at; byte < at + 8; byte += 1) {
      bytes[byte] = 128;
      expect(hasZeroWord(bytes)).toBe(false);
      bytes[byte] = 0;
    }
  }
  expect(hasZeroWord(new Uint8Array(7))).toBe(false);
});
