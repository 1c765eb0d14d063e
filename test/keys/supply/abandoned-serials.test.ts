// Serials that were given up: remembered in a bound, told in runs, forgotten when told.

import { expect, test } from "vitest";
import { AbandonedSerials } from "../../../src/keys/supply/abandoned-serials.ts";

test("are written in ascending runs, and read back", () => {
  const givenUp = new AbandonedSerials();
  for (const serial of [22, 17, 20, 21]) givenUp.add(serial);
  expect(`${givenUp}`).toBe("17,20-22");
  const again = new AbandonedSerials();
  again.restore(`${givenUp}`);
  expect(`${again}`).toBe("17,20-22");
});

test("are forgotten when they were told, and no others", () => {
  const givenUp = new AbandonedSerials();
  givenUp.restore("1-5");
  givenUp.told("2-3,9");
  expect(`${givenUp}`).toBe("1,4-5");
});

test("are at most 1,024: the oldest is forgotten, for it expires at the destination", () => {
  const givenUp = new AbandonedSerials();
  givenUp.restore("1-1025");
  expect([givenUp.size, `${givenUp}`]).toEqual([1_024, "2-1025"]);
});
