// Packing of extension entries into frames, and their checks.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entriesOf, entryNamed, MAX_TELL_BYTES, packEntries } from "../../../src/kx/payload/entries.ts";
import { faultOf } from "../fixture.ts";

const bytesOf = (json: object): number => Buffer.byteLength(JSON.stringify(json), "utf8");
const frameOf = (entries: object): number => bytesOf({ session_ID: "", number_of_keys: 0, extension: entries });
/** An entry whose JSON has exactly that many bytes. */
const sized = (bytes: number) => ({ name: "x", text: "y".repeat(bytes - bytesOf({ name: "x", text: "" })) });

describe("packEntries", () => {
  it("keeps the order and loses nothing, in lists that a frame can carry", () => {
    const entry = fc.record({ name: fc.constant("e"), text: fc.string({ unit: "grapheme", maxLength: 4_000 }) });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), (entries) => {
        const lists = packEntries(entries);
        expect(lists.flat()).toEqual(entries);
        for (const list of lists) {
          expect(bytesOf(list)).toBeLessThanOrEqual(MAX_TELL_BYTES);
          expect(frameOf(list)).toBeLessThanOrEqual(0xffff);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("begins a list only when the next entry does not fit the last", () => {
    const half = (MAX_TELL_BYTES - 2 - 1) / 2;
    expect(packEntries([sized(Math.floor(half)), sized(Math.floor(half))])).toHaveLength(1);
    expect(packEntries([sized(Math.floor(half)), sized(Math.floor(half) + 2)])).toHaveLength(2);
    expect(packEntries([sized(MAX_TELL_BYTES - 2), sized(100), sized(100)]).map((list) => list.length)).toEqual([1, 2]);
  });

  it("gives no list for no entry, and throws for one that fits no frame", () => {
    expect(packEntries([])).toEqual([]);
    expect(() => packEntries([sized(100), sized(MAX_TELL_BYTES - 1)])).toThrow(RangeError);
  });
});

describe("entries that arrive", () => {
  it("need a name of their own that is a string", async () => {
    expect(entriesOf(undefined)).toEqual([]);
    expect(entriesOf([{ name: "a", b: 1 }])).toEqual([{ name: "a", b: 1 }]);
    const fault = await faultOf(Promise.resolve().then(() => entriesOf([{ name: "a" }, { name: null }])));
    expect(fault).toMatchObject({ code: "MALFORMED_REQUEST", message: "extension[1].name must be a string" });
  });

  it("are found by name, and one that comes twice is malformed", async () => {
    const entries = [{ name: "a" }, { name: "b" }, { name: "b" }];
    expect(entryNamed(entries, "a")).toBe(entries[0]);
    expect(entryNamed(entries, "c")).toBeUndefined();
    expect((await faultOf(Promise.resolve().then(() => entryNamed(entries, "b")))).code).toBe("MALFORMED_REQUEST");
  });
});
