// A million mutated requests at each door: memory stays what it was, and nothing else is left behind.

import { expect, test } from "vitest";
import { DOORS } from "./doors.ts";
import { expectUnharmed } from "./unharmed.ts";

const COUNT = 1_000_000;
/** What the garbage collector has not taken yet, and what V8 keeps of its code. */
const MOST_BYTES = 96 << 20;

test.each(Object.keys(DOORS))("%s", async (name) => {
  const door = DOORS[name];
  if (door === undefined) throw new Error("no such door");
  expectUnharmed(await door(COUNT / 20));
  const before = process.memoryUsage().rss;
  expectUnharmed(await door(COUNT));
  expect(process.memoryUsage().rss - before).toBeLessThan(MOST_BYTES);
});
