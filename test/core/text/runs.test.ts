// Sets of numbers in runs: written, read with distrust, asked, cut.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatRuns, inRuns, lastNumbers, parseRuns, splitRuns } from "../../../src/core/text/runs.ts";

const ascending = fc.uniqueArray(fc.nat(500), { maxLength: 200 }).map((values) => values.sort((a, b) => a - b));

test("single numbers stand alone, neighbours in runs", () => {
  expect(formatRuns([17, 20, 21, 22])).toBe("17,20-22");
  expect(formatRuns([])).toBe("");
  expect(parseRuns("17,20-22")).toEqual([
    { first: 17, last: 17 },
    { first: 20, last: 22 },
  ]);
  expect(parseRuns("")).toEqual([]);
});

test("what is written is read again, and holds exactly those numbers", () => {
  fc.assert(
    fc.property(ascending, (values) => {
      const has = inRuns(parseRuns(formatRuns(values)));
      const found = Array.from({ length: 502 }, (_, value) => value).filter(has);
      expect(found).toEqual(values);
    }),
  );
});

test.each([
  ",",
  "1,",
  "1,,2",
  "2,1",
  "1,1",
  "3-1",
  "1-3,3",
  "1-3,2-4",
  "-1",
  "1-",
  "a",
  "1.5",
  " 1",
  "1 ",
  "+1",
  "1e3",
])("%j is refused", (text) => {
  expect(() => parseRuns(text)).toThrow(RangeError);
});

test("numbers that are no safe integers are refused", () => {
  expect(() => parseRuns("9007199254740993")).toThrow(RangeError);
  expect(parseRuns("999999999999999")).toHaveLength(1);
});

describe("cut into lists of a length", () => {
  test("all numbers are there, in order, and no list is longer", () => {
    fc.assert(
      fc.property(ascending, fc.integer({ min: 7, max: 60 }), (values, most) => {
        const text = formatRuns(values);
        const parts = splitRuns(text, most);
        expect(parts.join(",")).toBe(text);
        expect(parts.every((part) => part.length > 0 && part.length <= most)).toBe(true);
      }),
    );
  });
});

test("the highest numbers are found however long the runs are", () => {
  expect(lastNumbers(parseRuns("1,5-7,9"), 3)).toEqual([6, 7, 9]);
  expect(lastNumbers(parseRuns("0-999999999999999"), 2)).toEqual([999999999999998, 999999999999999]);
  expect(lastNumbers([], 2)).toEqual([]);
});
