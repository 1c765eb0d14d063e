// The rings of the last hour, and the lists of what happened.

import { expect, test } from "vitest";
import { Events } from "../../src/view/events.ts";
import { POINTS, Timeline } from "../../src/view/timeline.ts";

test("a figure has a value for each step in which it was set, and nothing in others", () => {
  const line = new Timeline();
  line.set("a", 1);
  line.step(1000);
  line.set("a", 2);
  line.step(3000);
  line.set("b", 3);
  expect(line.times).toEqual([1, 3]);
  expect([line.read("a"), line.read("b"), line.read("c")]).toEqual([
    [2, null],
    [null, 3],
    [null, null],
  ]);
});

test("after an hour the oldest goes, and a figure that was not set for so long is forgotten", () => {
  const line = new Timeline(1);
  for (let at = 0; at <= POINTS; at++) {
    line.step(at * 2000);
    if (at === 0) line.set("a", 7);
    if (at === 1) line.set("b", 8);
  }
  expect(line.times).toHaveLength(POINTS);
  expect(line.times[0]).toBe(2);
  expect(line.read("a")[0]).toBeNull();
  line.step(POINTS * 2000 + 2000);
  line.set("b", 9);
  expect(line.read("b").at(-1)).toBe(9);
});

test("more figures than the bound are left out", () => {
  const line = new Timeline(2);
  line.step(0);
  for (const name of ["a", "b", "c"]) line.set(name, 1);
  expect(["a", "b", "c"].map((name) => line.read(name)[0])).toEqual([1, 1, null]);
});

test("events are numbered from 1, the oldest go, and one asks for those after a number", () => {
  const events = new Events<{ readonly what: string }>(2);
  for (const what of ["a", "b", "c"]) events.add({ what });
  expect(events.last).toBe(3);
  expect(events.after(0).map(({ number, what }) => [number, what])).toEqual([
    [2, "b"],
    [3, "c"],
  ]);
  expect([events.after(2).length, events.after(3).length, events.after(9).length]).toEqual([1, 0, 0]);
});
