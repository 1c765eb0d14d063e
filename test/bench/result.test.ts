// Medians, alternation, and what is written of them.

import { describe, expect, test } from "vitest";
import { alternate, lineOf, median, type Result, table } from "./result.ts";

const result = (
  measured: readonly number[],
  reference: readonly number[],
  aim: NonNullable<Result["aim"]>,
): Result => ({
  name: "ak-supply",
  unit: "keys/s",
  measured: { of: "the KM", values: measured },
  reference: { of: "bare TLS echo", values: reference },
  aim,
});

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
    expect(lineOf(result([30, 10, 20], [40, 41, 39], { of: "ratio", atLeast: 0.7 }))).toEqual({
      name: "ak-supply",
      value: 20,
      unit: "keys/s",
      reference: "bare TLS echo",
      referenceValue: 40,
      ratio: 0.5,
    });
  });

  test("says whether its aim is met: by the ratio, or by the value", () => {
    expect(table([result([20], [40], { of: "ratio", atLeast: 0.7 })])).toContain("≥ 0.7 MISSED");
    expect(table([result([30], [40], { of: "ratio", atLeast: 0.7 })])).toContain("≥ 0.7 met");
    expect(table([result([201], [40], { of: "value", atMost: 200 })])).toContain("≤ 200 MISSED");
    expect(table([result([50], [40], { of: "value", atLeast: 50 })])).toContain("≥ 50 met");
  });

  test("shows the spread of its rounds", () => {
    expect(table([result([10, 20, 30], [1000.4, 2000], { of: "ratio", atLeast: 0.7 })])).toContain("(10.0 – 30.0)");
  });
});
