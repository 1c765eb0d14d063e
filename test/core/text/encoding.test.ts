// T(label, …) of key-protocol 1, in hex.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeT, type Item, strings, u32, u64 } from "../../../src/core/text/encoding.ts";

const hex = (...parts: Parameters<typeof encodeT>): string => Buffer.from(encodeT(...parts)).toString("hex");

describe("key-protocol 1", () => {
  test("the label and every string have a 2-byte length and UTF-8", () => {
    expect(hex("qkm")).toBe("0003716b6d");
    expect(hex("a", "", "é")).toBe("000161" + "0000" + "0002c3a9");
  });

  test("serial, run and sequence are 8 bytes, offset and length 4, big-endian", () => {
    expect(hex("", u64(1), u32(2))).toBe("0000" + "0000000000000001" + "00000002");
    expect(hex("", u64(2 ** 40 - 1), u32(2 ** 32 - 1))).toBe("0000" + "000000ffffffffff" + "ffffffff");
  });

  test("a list is a 2-byte count and its items", () => {
    expect(hex("", strings([]))).toBe("0000" + "0000");
    expect(hex("", strings(["km-b", "c"]))).toBe("0000" + "0002" + "00046b6d2d62" + "000163");
  });

  test("different items never give the same bytes", () => {
    const item: fc.Arbitrary<Item> = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.array(fc.string({ maxLength: 3 }), { maxLength: 3 }).map(strings),
    );
    const items = fc.array(item, { maxLength: 4 }).filter((list) => list.every((one) => typeof one === "string"));
    fc.assert(
      fc.property(items, items, (one, other) => {
        expect(hex("l", ...one) === hex("l", ...other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
  });
});

test.each([-1, 1.5, Number.NaN, 2 ** 53, 2 ** 32])("%d is no number of 4 bytes", (value) => {
  expect(() => encodeT("", u32(value))).toThrow(RangeError);
});

test.each([-1, 0.5, Number.POSITIVE_INFINITY, 2 ** 53])("%d is no number of 8 bytes", (value) => {
  expect(() => encodeT("", u64(value))).toThrow(RangeError);
});

test("a string of 65,536 bytes is refused", () => {
  expect(() => encodeT("", "x".repeat(65_536))).toThrow(RangeError);
});
