// The chart of results.

import { describe, expect, test } from "vitest";
import { chart } from "./chart.ts";
import { resultOf } from "./support.ts";

const half = { of: "ratio", atLeast: 0.5 } as const;
const widths = (svg: string): number[] =>
  [...svg.matchAll(/width="([\d.]+)" height="18"/g)].map(([, width]) => Number(width));

describe("the chart", () => {
  test("draws a bar as long as its share of the aim, the same for all units", () => {
    const svg = chart([resultOf([20], [40], half), resultOf([10], [40], half)], "2 cores");
    const [met = 0, missed = 0] = widths(svg);
    expect(met).toBe(300);
    expect(missed).toBe(150);
  });

  test("turns around what is to be small", () => {
    const [width = 0] = widths(chart([resultOf([400], undefined, { of: "value", atMost: 200 })], ""));
    expect(width).toBe(150);
  });

  test("cuts a bar off that would leave it, and leaves out what has no aim", () => {
    expect(widths(chart([resultOf([400], [1], half), resultOf([1], [1])], ""))).toEqual([450]);
  });

  test("draws the spread of the rounds", () => {
    const svg = chart([resultOf([10, 20, 30], [40, 40, 40], half)], "");
    expect(svg).toContain('x1="480.0" x2="780.0"');
  });

  test("is XML whatever the names", () => {
    const svg = chart([{ ...resultOf([1], [1], half), name: '<b> & "c"' }], "a < b");
    expect(svg).toContain("&lt;b&gt; &amp; &quot;c&quot;");
    expect(svg).toContain("a &lt; b");
  });
});
