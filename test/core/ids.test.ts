// The names of the network's parts.

import { expect, test } from "vitest";
import { appId, compareIds, kmId, linkId } from "../../src/core/ids.ts";

test.each(["a", "km-a", "A.b_c:d@e-9", "x".repeat(64)])("%s is an ID", (text) => {
  expect([kmId(text), linkId(text), appId(text)]).toEqual([text, text, text]);
});

test.each(["", "x".repeat(65), "a b", "a/b", "é", "a\n", "a\u0000"])("%j is none", (text) => {
  for (const parse of [kmId, linkId, appId]) expect(() => parse(text)).toThrow("1 to 64 characters");
});

test("they are compared bytewise", () => {
  expect(["km-b", "km-a", "KM-c", "km"].sort(compareIds)).toEqual(["KM-c", "km", "km-a", "km-b"]);
  expect(compareIds("a", "a")).toBe(0);
});
