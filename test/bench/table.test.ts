// The table of results, and its bars.

import { describe, expect, test } from "vitest";
import { resultOf } from "./support.ts";
import { bar, table } from "./table.ts";

describe("the table of results", () => {
  test("says whether an aim is met: by the ratio, or by the value", () => {
    expect(table([resultOf([20], [40], { of: "ratio", atLeast: 0.7 })])).toContain("≥ 0.7 MISSED");
    expect(table([resultOf([30], [40], { of: "ratio", atLeast: 0.7 })])).toContain("≥ 0.7 met");
    expect(table([resultOf([201], [40], { of: "value", atMost: 200 })])).toContain("≤ 200 keys/s MISSED");
    expect(table([resultOf([50], [40], { of: "value", atLeast: 50 })])).toContain("≥ 50 keys/s met");
  });

  test("has a row for each further aim", () => {
    const both = [{ of: "ratio", atLeast: 0.5 } as const, { of: "value", atLeast: 100 } as const];
    const [, first = "", second = ""] = table([resultOf([50], [60], ...both)]).split("\n");
    expect(first).toContain("≥ 0.5 met");
    expect(second).toContain("≥ 100 keys/s MISSED");
  });

  test("shows the spread of the rounds", () => {
    expect(table([resultOf([10, 20, 30], [1000.4, 2000])])).toContain("(10.0 – 30.0)");
  });

  test("says once why a reference was left out, and never that its aim was met", () => {
    const aim = { of: "ratio", atLeast: 0.6 } as const;
    const left = { ...resultOf([20], undefined, aim), leftOut: "Redis is not installed" };
    const said = table([left, left]);
    expect(said.split("Redis is not installed")).toHaveLength(2);
    expect(said).toContain("≥ 0.6 left out");
    expect(said).not.toContain("met");
  });
});

describe("a bar", () => {
  test.each([
    [0, "············│······"],
    [0.5, "██████······│······"],
    [1, "████████████│······"],
    [9, "████████████│██████"],
  ])("of %d of its aim is %s", (share, cells) => {
    expect(bar(share)).toBe(cells);
  });
});
