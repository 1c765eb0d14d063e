// Rows read back from the store with distrust, and the names in it.

import { describe, expect, test } from "vitest";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { kmaRow, linkBlock, localBlock, readRow } from "../../../src/keys/common/rows.ts";

const HELD = {
  peer: "km-a",
  serial: 1,
  block: "link:ab:1:0",
  length: 4096,
  bornAt: 0,
  fetched: new Uint8Array(64),
  witness: 96,
};

describe("a row", () => {
  test("that is whole is given as it is", () => {
    expect(readRow("held", "km-a/1", HELD)).toBe(HELD);
  });

  test.each(Object.keys(HELD))(
    "without its %s, or with another kind of it, is refused with table and field",
    (field) => {
      const { [field as keyof typeof HELD]: _gone, ...rest } = HELD;
      expect(() => readRow("held", "km-a/1", rest)).toThrow(new RegExp(`held row km-a/1 .*'${field}'`));
      expect(() => readRow("held", "km-a/1", { ...HELD, [field]: null })).toThrow(field);
      expect(() => readRow("held", "km-a/1", { ...HELD, [field]: [1] })).toThrow(field);
    },
  );
});

test("names in the store", () => {
  expect(kmaRow(kmId("km-b"), 7)).toBe("km-b/7");
  expect(linkBlock(linkId("ab"), 1, 42)).toBe("link:ab:1:42");
  expect([localBlock(7, "source"), localBlock(7, "destination")]).toEqual(["local:source:7", "local:destination:7"]);
});
