// Where KMs stand on the map, and where the arrow keys lead.

import { expect, test } from "vitest";
import { layout, nearestThatWay, type Place, spacingOf } from "../../src/view/page/layout.ts";
import { processorMs } from "../support/processor.ts";
import { simulatedNetwork } from "./simulated.ts";

const away = (a: Place | undefined, b: Place | undefined): number =>
  a && b ? Math.hypot(a.x - b.x, a.y - b.y) : Number.NaN;

const CHAIN = [{ kms: ["a", "b"] as const }, { kms: ["b", "c"] as const }];

test("a chain lies level, in order, with neighbours as far apart as asked", () => {
  const places = layout(["a", "b", "c"], CHAIN, 100);
  expect(away(places.get("a"), places.get("b"))).toBeCloseTo(100, 0);
  expect(away(places.get("a"), places.get("c"))).toBeCloseTo(200, 0);
  for (const { y } of places.values()) expect(Math.abs(y)).toBeLessThan(1);
  expect(places.get("a")?.x).toBeLessThan(places.get("c")?.x ?? 0);
});

test("one KM, none, and parts that no link joins have places too", () => {
  expect(layout([], [], 100).size).toBe(0);
  for (const ids of [["a"], ["a", "b"], ["a", "b", "c", "d"]]) {
    const places = [...layout(ids, [], 100).values()];
    for (const { x, y } of places) expect(Number.isFinite(x + y)).toBe(true);
    if (places.length > 1) expect(spacingOf(places)).toBeGreaterThan(50);
  }
});

test("the same network has the same map each time, and no two of a hundred KMs stand on each other", () => {
  const { kms, links } = simulatedNetwork(100).shape;
  const places = layout(kms, links, 100);
  const ms = processorMs(() => expect(layout(kms, links, 100)).toEqual(places));
  expect(ms).toBeLessThan(2000);
  const all = [...places.values()];
  const closest = Math.min(...all.flatMap((a, i) => all.slice(i + 1).map((b) => away(a, b))));
  expect(closest).toBeGreaterThan(30);
});

test("an arrow key leads to what lies that way, and nowhere at the edge", () => {
  const places = layout(["a", "b", "c"], CHAIN, 100);
  expect(nearestThatWay(places, "a", { x: 1, y: 0 })).toBe("b");
  expect(nearestThatWay(places, "c", { x: -1, y: 0 })).toBe("b");
  expect(nearestThatWay(places, "a", { x: -1, y: 0 })).toBeUndefined();
});
