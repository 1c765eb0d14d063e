// Tests of the bytes of a row: format 1 with its tag over T("qkm row", KM, table, ID) and the row.

import { deserialize, serialize } from "node:v8";
import { expect, test } from "vitest";
import { encodeT } from "../../../src/core/text/encoding.ts";
import { type RowRules, RowTags, untrustedRow } from "../../../src/vault/store/row-tags.ts";
import { blake2b128 } from "../../../src/vault/tags.ts";
import { KM } from "../harness.ts";

const RULES: RowRules = { untagged: new Set(["plain"]), single: new Set(), isSound: () => true };
const KEY = new Uint8Array(32).fill(7);
const ROW = { text: "ü", bits: Uint8Array.of(1, 0, 255), list: [1, { two: 2 }], big: 2 ** 40, none: undefined };

function open(): RowTags {
  const tags = new RowTags(KM, RULES);
  tags.open(KEY);
  return tags;
}

test("a row is 01, its tag, its clone", () => {
  const bytes = open().write("tä", "id/1", ROW);
  const clone = serialize(ROW);
  const tag = new Uint8Array(16);
  blake2b128(KEY, Buffer.concat([encodeT("qkm row", KM, "tä", "id/1"), clone]), tag);
  expect(Buffer.from(bytes).toString("hex")).toBe(Buffer.concat([Buffer.of(1), tag, clone]).toString("hex"));
  expect(open().read("tä", "id/1", bytes)).toEqual({ state: "good", row: ROW });
});

test("every bit counts, in the value, the tag and the name", () => {
  const tags = open();
  const bytes = tags.write("t", "a", { mark: 480 });
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Uint8Array.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect([bit, tags.read("t", "a", changed).state]).toEqual([bit, "broken"]);
  }
  for (let length = 0; length < bytes.length; length += 1) {
    expect(tags.read("t", "a", bytes.subarray(0, length)).state).toBe("broken");
  }
  for (const [table, id] of [
    ["t", "b"],
    ["ta", ""],
    ["", "ta"],
    ["u", "a"],
  ] as const) {
    expect(tags.read(table, id, bytes).state).toBe("broken");
  }
});

test("rows of a table without tags are their clone alone, and need no token", () => {
  const tags = new RowTags(KM, RULES);
  const bytes = tags.write("plain", "a", ROW);
  expect(deserialize(Buffer.from(bytes))).toEqual(ROW);
  expect(tags.read("plain", "a", bytes)).toEqual({ state: "good", row: ROW });
  expect(() => tags.write("t", "a", ROW)).toThrow("before the token");
});

test("what is no row is broken, whatever its first byte", () => {
  const tags = open();
  for (const bytes of [serialize(7), serialize(null), Buffer.from("ff0f", "hex"), Buffer.from("ffffffff", "hex")]) {
    expect(tags.read("plain", "a", bytes).state).toBe("broken");
    expect(untrustedRow(bytes)).toBeUndefined();
  }
  expect(untrustedRow(tags.write("t", "a", ROW))).toEqual(ROW);
});
