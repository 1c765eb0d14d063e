// The flame graph.

import { describe, expect, test } from "vitest";
import type { Call } from "./calls.ts";
import { flameGraph } from "./flame.ts";

const call = (name: string, selfMicros: number, ...callees: Call[]): Call => ({
  name,
  place: `src/${name}.ts:1`,
  selfMicros,
  totalMicros: callees.reduce((sum, { totalMicros }) => sum + totalMicros, selfMicros),
  callees,
});

const boxes = (svg: string) =>
  [...svg.matchAll(/<title>(\S+)[^<]*<\/title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"/g)].map(
    ([, name, ...numbers]) => [name, ...numbers.map(Number)],
  );

describe("a flame graph", () => {
  test("draws each call as wide as its time, above its caller, the longest first", () => {
    const svg = flameGraph(call("root", 0, call("short", 250), call("long", 500, call("deep", 250))), "supply");
    expect(boxes(svg)).toEqual([
      ["root", 0, 74, 1399.6],
      ["long", 0, 57, 1049.6],
      ["deep", 0, 40, 349.6],
      ["short", 1050, 57, 349.6],
    ]);
  });

  test("leaves out what is too narrow to see", () => {
    expect(boxes(flameGraph(call("root", 100_000, call("tiny", 1)), ""))).toHaveLength(1);
  });

  test("is XML whatever functions are called", () => {
    expect(flameGraph(call("<anonymous>", 1), "a & b")).toContain("&lt;anonymous&gt;");
  });
});
