// What is read out of a CPU profile.

import { describe, expect, test } from "vitest";
import { type CpuProfile, callsOf, costs, hotTable } from "./calls.ts";

const ROOT = "file:///qkm/";
const frame = (functionName: string, file: string, lineNumber: number) => ({
  functionName,
  url: file === "" ? "" : `${ROOT}${file}`,
  lineNumber,
});

/** (root) calls supply, which calls tag and itself; the process idles too. */
const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame("(root)", "", -1), children: [2, 5] },
    { id: 2, callFrame: frame("supply", "src/supply.ts", 9), children: [3, 4] },
    { id: 3, callFrame: frame("tag", "src/tag.ts", 4) },
    { id: 4, callFrame: frame("supply", "src/supply.ts", 9) },
    { id: 5, callFrame: frame("(idle)", "", -1) },
  ],
  startTime: 1_000,
  // At 1,000 supply, at 1,100 tag, at 1,400 idle, at 1,900 supply within supply, at 2,000 the end.
  samples: [2, 3, 5, 4, 1],
  timeDeltas: [0, 100, 300, 500, 100],
};
const ALL = { from: 0, to: 9_999 };

describe("a CPU profile", () => {
  test("tells what each function took by itself and with what it called, without idling", () => {
    const [tag, supply, root] = costs(callsOf(profile, ALL, ROOT));
    expect(tag).toEqual({ name: "tag", place: "src/tag.ts:5", selfMicros: 300, totalMicros: 300 });
    expect(supply).toEqual({ name: "supply", place: "src/supply.ts:10", selfMicros: 200, totalMicros: 500 });
    expect(root).toEqual({ name: "(root)", place: "", selfMicros: 0, totalMicros: 500 });
  });

  test("is cut to a window, samples at its edges in part", () => {
    const calls = callsOf(profile, { from: 1_050, to: 1_200 }, ROOT);
    expect(costs(calls).map(({ name, selfMicros }) => [name, selfMicros])).toEqual([
      ["tag", 100],
      ["supply", 50],
      ["(root)", 0],
    ]);
  });

  test("is shown as the hottest functions with their percent and places", () => {
    const [, first, ...rest] = hotTable(callsOf(profile, ALL, ROOT), 1).split("\n");
    expect(first).toMatch(/^ 60\.0 % {3}60\.0 % {2}tag +src\/tag\.ts:5$/);
    expect(rest).toEqual([]);
  });

  test("that is damaged says so", () => {
    const lost = { ...profile, nodes: profile.nodes.filter(({ id }) => id !== 3) };
    expect(() => callsOf(lost, ALL, ROOT)).toThrow("no node 3");
    expect(() => callsOf({ ...profile, nodes: [] }, ALL, ROOT)).toThrow("empty");
  });
});
