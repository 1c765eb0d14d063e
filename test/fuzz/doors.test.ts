// Every door under mutated requests: nothing crashes, leaks, or is logged without bound. The long test fires a million at each.

import { expect, test } from "vitest";
import { DOORS } from "./doors.ts";
import { expectUnharmed } from "./unharmed.ts";

const COUNT = 8_000;

test.each(Object.keys(DOORS))("%s", async (name) => {
  const fired = await DOORS[name]?.(COUNT);
  if (fired === undefined) throw new Error("no such door");
  expectUnharmed(fired);
  // Enough of them are good enough to be asked.
  expect(fired.asked).toBeGreaterThan(COUNT / 200);
});
