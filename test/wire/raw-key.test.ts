// Tests of src/wire/raw-key.ts: base64 becomes bytes and digits where it lies, and leaves nothing behind.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeInPlace, encodeHexInPlace } from "../../src/wire/raw-key.ts";

const key = fc.uint8Array({ minLength: 1, maxLength: 600 });

describe("base64 where it lies", () => {
  it("becomes its bytes, and the rest is zero", () => {
    fc.assert(
      fc.property(key, fc.nat(20), (bytes, at) => {
        const memory = Buffer.alloc(at + 900);
        const end = at + memory.write(Buffer.from(bytes).toString("base64"), at);
        const behind = decodeInPlace(memory, at, end);
        expect(memory.subarray(at, behind)).toEqual(Buffer.from(bytes));
        expect(memory.subarray(behind).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  it("becomes digits when it lies far enough behind, and nothing is left of the bytes", () => {
    fc.assert(
      fc.property(key, fc.nat(20), (bytes, at) => {
        const memory = Buffer.alloc(at + 1600);
        const from = at + bytes.length;
        const letters = from + memory.write(Buffer.from(bytes).toString("base64"), from);
        const behind = encodeHexInPlace(memory, from, decodeInPlace(memory, from, letters), at);
        expect(memory.toString("latin1", at, behind)).toBe(Buffer.from(bytes).toString("hex"));
        expect(memory.subarray(behind).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  it("is refused when the digits would overtake the bytes", () => {
    expect(() => encodeHexInPlace(new Uint8Array(64), 15, 31, 0)).toThrow(RangeError);
    expect(() => encodeHexInPlace(new Uint8Array(30), 15, 31, 0)).toThrow(RangeError);
  });
});
