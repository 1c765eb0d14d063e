// Medians, alternation, and what is written of them.

import { describe, expect, test } from "vitest";
import { alternate, lineOf, median, ratios } from "./result.ts";
import { resultOf } from "./support.ts";

describe("the median", () => {
  test.each([
    [[3], 3],
    [[9, 1, 5], 5],
    [[10, 2, 4, 100], 7],
  ])("of %j is %d", (values, middle) => {
    expect(median(values)).toBe(middle);
  });
});

describe("a measurement against a reference", () => {
  test("takes both sides in turn, so that what slows the machine down slows both", async () => {
    const order: string[] = [];
    const side = (name: string, value: number) => async () => {
      order.push(name);
      return value;
    };
    expect(await alternate(3, side("km", 1), side("reference", 2))).toEqual([
      [1, 1, 1],
      [2, 2, 2],
    ]);
    expect(order).toEqual(["km", "reference", "km", "reference", "km", "reference"]);
  });

  test("is written with both medians and their ratio", () => {
    expect(lineOf(resultOf([30, 10, 20], [40, 41, 39]))).toEqual({
      name: "ak-supply",
      value: 20,
      unit: "keys/s",
      reference: "bare TLS echo",
      referenceValue: 40,
      ratio: 0.5,
      bound: null,
    });
  });

  test("whose reference was left out is written with its value alone", () => {
    expect(lineOf(resultOf([30, 10, 20]))).toMatchObject({
      value: 20,
      reference: null,
      referenceValue: null,
      ratio: null,
      bound: null,
    });
  });

  test("has a ratio of each round, of its two sides", () => {
    expect(ratios(resultOf([30, 10, 20], [60, 40, 20]))).toEqual([0.5, 0.25, 1]);
    expect(ratios(resultOf([30]))).toEqual([]);
  });
});
