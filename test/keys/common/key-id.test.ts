// Key IDs: UUIDv8 of serial, offset, length and tag (key-protocol 3).

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kmaKeyId, kmaSerial, MAX_SERIAL, parseKeyId, sameTag, writeKeyId } from "../../../src/keys/common/key-id.ts";

const parts = fc.record({
  serial: fc.integer({ min: 0, max: MAX_SERIAL }),
  offset: fc.integer({ min: 0, max: 4095 }).map((step) => step * 8),
  length: fc.integer({ min: 0, max: 4095 }),
});
const tag = fc.uint8Array({ minLength: 16, maxLength: 16 });

function idOf(what: { serial: number; offset: number; length: number }, tagged: Uint8Array): string {
  const text = Buffer.alloc(40, "x");
  expect(writeKeyId(what, tagged, text, 2)).toBe(38);
  expect([text.toString("latin1", 0, 2), text.toString("latin1", 38)]).toEqual(["xx", "xx"]);
  return text.toString("latin1", 2, 38);
}

describe("key-protocol 3: the worked example", () => {
  // serial 1, offset 96, length 32: 0000000001 · 00c · 020, then 58 bits of tag:
  // 48 bits 000000000100 · version 8 · 12 bits c02 · variant 10 · 4 bits 0 · the tag
  test.each([
    ["ff".repeat(16), "00000000-0100-8c02-83ff-ffffffffffff"],
    ["00".repeat(16), "00000000-0100-8c02-8000-000000000000"],
    ["8000000000000040".padEnd(32, "0"), "00000000-0100-8c02-8200-000000000001"],
  ])("with the tag %s", (hex, id) => {
    expect(idOf({ serial: 1, offset: 96, length: 32 }, Buffer.from(hex, "hex"))).toBe(id);
  });

  test("of the largest numbers", () => {
    const id = idOf({ serial: MAX_SERIAL, offset: 4095 * 8, length: 4095 }, new Uint8Array(16));
    expect(id).toBe("ffffffff-ffff-8fff-bc00-000000000000");
  });
});

test("every ID is a UUID of version 8 and variant 10, and is read back whole", () => {
  fc.assert(
    fc.property(parts, tag, (what, tagged) => {
      const id = idOf(what, tagged);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      const read = parseKeyId(id);
      expect(read).toMatchObject(what);
      expect(sameTag(read?.tag ?? new Uint8Array(8), tagged)).toBe(true);
    }),
  );
});

test("any of the 58 bits of a tag that differs is seen, the others are not looked at", () => {
  fc.assert(
    fc.property(parts, tag, fc.nat(127), (what, tagged, bit) => {
      const read = parseKeyId(idOf(what, tagged));
      const other = Uint8Array.from(tagged);
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
      expect(sameTag(read?.tag ?? new Uint8Array(8), other)).toBe(bit >= 58);
    }),
  );
});

test("any other spelling is malformed", () => {
  const id = "00000000-0100-8c02-83ff-ffffffffffff";
  const wrong = [
    "",
    ` ${id}`,
    `${id}\n`,
    id.replaceAll("-", ""),
    `{${id}}`,
    id.replace("8c02", "4c02"),
    id.replace("83ff", "c3ff"),
    id.replace("83ff", "73ff"),
    id.slice(1),
    `0${id}`,
    id.replace("f", "g"),
  ];
  expect(wrong.filter((text) => parseKeyId(text) !== undefined)).toEqual([]);
  fc.assert(fc.property(fc.string(), (text) => parseKeyId(text) === undefined));
});

test("upper case is the same ID", () => {
  fc.assert(
    fc.property(parts, tag, (what, tagged) => {
      const id = idOf(what, tagged);
      expect(parseKeyId(id.toUpperCase())).toEqual(parseKeyId(id));
    }),
  );
});

test("the KMA-key itself is named with offset, length and tag 0", () => {
  expect(kmaKeyId(0x0102030405)).toBe("01020304-0500-8000-8000-000000000000");
  fc.assert(fc.property(fc.integer({ min: 0, max: MAX_SERIAL }), (serial) => kmaSerial(kmaKeyId(serial)) === serial));
  fc.assert(
    fc.property(parts, tag, (what, tagged) => {
      const isWhole = what.offset === 0 && what.length === 0 && sameTag(new Uint8Array(8), tagged);
      expect(kmaSerial(idOf(what, tagged)) !== undefined).toBe(isWhole);
    }),
  );
});
