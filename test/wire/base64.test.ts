// Tests of base64 between byte ranges, against Node's own.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { base64Length, decodeBase64, encodeBase64 } from "../../src/wire/base64.ts";

const ascii = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

describe("base64", () => {
  test("RFC 4648 10: the published vectors, both ways", () => {
    for (const [plain, coded] of [
      ["", ""],
      ["f", "Zg=="],
      ["fo", "Zm8="],
      ["foo", "Zm9v"],
      ["foob", "Zm9vYg=="],
      ["fooba", "Zm9vYmE="],
      ["foobar", "Zm9vYmFy"],
    ] as const) {
      const target = new Uint8Array(coded.length);
      expect(encodeBase64(ascii(plain), 0, plain.length, target, 0)).toBe(coded.length);
      expect(Buffer.from(target).toString("latin1")).toBe(coded);
      const back = new Uint8Array(plain.length);
      expect(decodeBase64(ascii(coded), back)).toBe(plain.length);
      expect(back).toEqual(ascii(plain));
    }
  });

  test("any range of any bytes, at any place, is what Node writes, and touches nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200), fc.nat(20), (bytes, one, other, at) => {
        const start = Math.min(one, other, bytes.length);
        const end = Math.min(Math.max(one, other), bytes.length);
        const target = new Uint8Array(at + base64Length(end - start) + 3).fill(0x2e);
        const stop = encodeBase64(bytes, start, end, target, at);
        const text = Buffer.from(target).toString("latin1");
        expect(text.slice(at, stop)).toBe(Buffer.from(bytes.subarray(start, end)).toString("base64"));
        expect(text.slice(0, at) + text.slice(stop)).toBe(".".repeat(at + 3));
      }),
    );
  });

  test("what was written is read back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const target = new Uint8Array(bytes.length + 5);
        expect(decodeBase64(ascii(Buffer.from(bytes).toString("base64")), target)).toBe(bytes.length);
        expect(target.subarray(0, bytes.length)).toEqual(bytes);
        expect(target.subarray(bytes.length)).toEqual(new Uint8Array(5));
      }),
    );
  });

  test("a reader is strict: it accepts only what the one true writer writes", () => {
    const letters = fc.constantFrom(..."AQgw/9z+=-_ \n\u00ff");
    fc.assert(
      fc.property(fc.string({ unit: letters, maxLength: 12 }), (text) => {
        const canonical = Buffer.from(text, "base64").toString("base64") === text;
        const target = new Uint8Array(12);
        if (canonical) expect(decodeBase64(ascii(text), target)).toBe(Buffer.from(text, "base64").length);
        else expect(() => decodeBase64(ascii(text), target)).toThrowError(/not base64/);
      }),
      { numRuns: 2000 },
    );
  });

  test("a reader that refuses leaves nothing of what it had read", () => {
    const target = new Uint8Array(12);
    expect(() => decodeBase64(ascii("Zm9vYmF!"), target)).toThrowError(/not base64/);
    expect(target).toEqual(new Uint8Array(12));
  });

  test("ranges and targets out of bounds are refused before a byte is written", () => {
    const target = new Uint8Array(8);
    const source = ascii("foobar");
    expect(() => encodeBase64(source, 0, 7, target, 0)).toThrowError(RangeError);
    expect(() => encodeBase64(source, 3, 2, target, 0)).toThrowError(RangeError);
    expect(() => encodeBase64(source, -1, 2, target, 0)).toThrowError(RangeError);
    expect(() => encodeBase64(source, 0, 6, target, 1)).toThrowError(RangeError);
    expect(() => encodeBase64(source, 0, Number.NaN, target, 0)).toThrowError(RangeError);
    expect(() => decodeBase64(ascii("Zm9vYmFy"), new Uint8Array(5))).toThrowError(RangeError);
    expect(target).toEqual(new Uint8Array(8));
  });
});
