// The table of all bytes ever supplied finds what was entered before, however much there is.

import { expect, test } from "vitest";
import { Dice } from "./dice.ts";
import { ValueTable } from "./value-table.ts";

test("what was entered is found again under the first that had it, and nothing else is", () => {
  const [table, dice] = [new ValueTable(), new Dice(3)];
  const values = Array.from({ length: 5000 }, () => [dice.bits(), dice.bits()] as const);
  values.push([0, 0], [0, 1], [1, 0]);
  for (const [index, [high, low]] of values.entries()) expect(table.enter(high, low, index)).toBeUndefined();
  for (const [index, [high, low]] of values.entries()) expect(table.enter(high, low, 9)).toBe(index);
});
